import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { DemoWorld } from './demo-world.ts'
import { dropFiles, Network, paint } from './page-actions.ts'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let world: DemoWorld
beforeAll(async () => {
  world = await DemoWorld.start()
})
beforeEach(() => world.clear())
afterAll(() => world?.stop())

/** What axe objects to, as `rule: elements`. */
async function objections(page: Page): Promise<string[]> {
  await page.evaluate(axeSource)
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import('axe-core') }
    const { violations } = await axe.run()
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
  })
}

/** Looks at the page as it is now in two widths and both colour schemes, and keeps a picture of each. */
async function inspect(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const width of [360, 1200]) {
      await page.setViewportSize({ width, height: 900 })
      const path = `test/browser/screenshots/${name}-${width}-${colorScheme}.png`
      await page.screenshot({ path, fullPage: true })
      expect.soft(await objections(page), `${name}, ${width} px, ${colorScheme}`).toEqual([])
      const pageWidth = await page.evaluate(() => document.documentElement.scrollWidth)
      expect.soft(pageWidth, `${name}, ${width} px`).toBe(width)
    }
  }
}

test('the empty page is accessible and fits', async () => {
  const { page, complaints } = await world.open()
  await page.getByText('Nothing yet.').waitFor()
  await inspect(page, 'empty')
  expect(complaints).toEqual([])
})

test('the page at work is accessible and fits, whatever state its uploads are in', async () => {
  const { page } = await world.open()
  const image = async (name: string, background: string) => ({
    name,
    mimeType: 'image/jpeg',
    buffer: await paint(page, 'jpeg', background),
  })
  const sunset = await image(
    'sunset.jpg',
    'radial-gradient(circle at 50% 70%, #ffe9a8 12%, #ff9a5a 40%, #51306b)',
  )
  const longName = `a name without any blank ${'that_goes_on'.repeat(12)}.txt`
  await page
    .locator('#picture')
    .setInputFiles(await image('me.jpg', 'linear-gradient(#9fd3f0 55%, #5f9e4a 55%)'))
  await page
    .locator('#new-files')
    .setInputFiles([
      sunset,
      { name: 'Quarterly report, final.pdf', mimeType: 'application/pdf', buffer: Buffer.alloc(200_000) },
      { name: longName, mimeType: 'text/plain', buffer: Buffer.from('long') },
    ])
  await page.getByText('4 of 4 stored').waitFor()
  await page.getByRole('button', { name: 'Delete Quarterly report, final.pdf' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.locator('.line[data-phase=let-go]').waitFor()
  await dropFiles(page, '#profile', [{ name: 'notes.txt', type: 'text/plain', size: 10 }])
  await page.locator('.upload[data-state=failed]').waitFor()

  await (await Network.of(page)).slow(400_000)
  const names = ['holiday.mov', 'backup.tar', 'cancelled.iso', 'waiting.zip']
  const files = names.map((name) => ({ name, type: 'application/octet-stream', size: 120_000_000 }))
  await dropFiles(page, '#drop', files)
  await page.getByRole('button', { name: 'Cancel: cancelled.iso' }).click()
  await page.locator('.upload[data-state=sending]').getByText(' left').first().waitFor()
  await page.locator('#folded-summary').click()
  await inspect(page, 'at-work')
})

test('the question before a deletion is accessible and fits', async () => {
  const { page, complaints } = await world.open()
  await page
    .locator('#new-files')
    .setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('a') })
  await page.getByRole('button', { name: 'Delete a.txt' }).click()
  await page.getByRole('dialog').waitFor()
  await inspect(page, 'question')
  expect(complaints).toEqual([])
})

test('nothing moves by itself for a person who does not want that', async () => {
  const { page } = await world.open()
  const durations = () =>
    page.evaluate(
      () =>
        [...document.querySelectorAll('*')]
          .map((element) => getComputedStyle(element))
          .filter(
            ({ transitionDuration, animationName }) =>
              transitionDuration !== '0s' || animationName !== 'none',
          ).length,
    )
  expect(await durations()).toBe(0)
  await page.emulateMedia({ reducedMotion: 'no-preference' })
  expect(await durations()).toBeGreaterThan(0)
})
