import type { Page } from 'playwright-core'

/** The network between the page and the server, as slow as it is told to be, or away. */
export class Network {
  readonly #set: (offline: boolean, uploadThroughput: number) => Promise<void>

  private constructor(set: (offline: boolean, uploadThroughput: number) => Promise<void>) {
    this.#set = set
  }

  static async of(page: Page): Promise<Network> {
    const session = await page.context().newCDPSession(page)
    return new Network(async (offline, uploadThroughput) => {
      const conditions = { offline, latency: 0, downloadThroughput: -1, uploadThroughput }
      await session.send('Network.emulateNetworkConditions', conditions)
    })
  }

  slow(bytesPerSecond: number): Promise<void> {
    return this.#set(false, bytesPerSecond)
  }

  cut(): Promise<void> {
    return this.#set(true, -1)
  }

  mend(): Promise<void> {
    return this.#set(false, -1)
  }
}

/** Drops files of zeros, after the bytes they start with, on an element, as a person who drags them from a folder does. */
export async function dropFiles(
  page: Page,
  selector: string,
  files: { name: string; type: string; size: number; start?: number[] }[],
): Promise<void> {
  const dataTransfer = await page.evaluateHandle((described) => {
    const transfer = new DataTransfer()
    for (const { name, type, size, start = [] } of described) {
      const bytes = new Uint8Array(size)
      bytes.set(start)
      transfer.items.add(new File([bytes], name, { type }))
    }
    return transfer
  }, files)
  await page.dispatchEvent(selector, 'dragover', { dataTransfer })
  await page.dispatchEvent(selector, 'drop', { dataTransfer })
}

/** Picks a text file through the page's file input. */
export async function pickText(page: Page, name: string, text = `This is ${name}.`): Promise<void> {
  await page.locator('#new-files').setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(text) })
}

/** An image of 800 × 600 pixels, drawn and encoded by the browser. */
export async function paint(page: Page, type: 'png' | 'jpeg', background: string): Promise<Buffer> {
  const canvas = await page.context().newPage()
  try {
    await canvas.setViewportSize({ width: 800, height: 600 })
    await canvas.setContent(`<body style="background: ${background}"></body>`)
    return await canvas.screenshot({ type })
  } finally {
    await canvas.close()
  }
}

/** Presses Tab until the control with that accessible name has the focus. */
export async function tabTo(page: Page, name: string): Promise<void> {
  const control = page.getByRole('button', { name, exact: true })
  for (let presses = 0; presses < 50; presses++) {
    await page.keyboard.press('Tab')
    if (await control.evaluate((element) => element === document.activeElement)) return
  }
  throw new Error(`50 times Tab did not reach '${name}'`)
}
