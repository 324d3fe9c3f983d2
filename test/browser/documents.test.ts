import type { Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { DemoWorld } from './demo-world.ts'
import { dropFiles, paint, pickText, tabTo } from './page-actions.ts'

let world: DemoWorld
beforeAll(async () => {
  world = await DemoWorld.start()
})
beforeEach(() => world.clear())
afterAll(() => world?.stop())

function row(page: Page, name: string): Locator {
  return page.locator('.document').filter({ hasText: name })
}

/** The journal's line of an object. It remembers the last ones: each test has names of its own. */
function line(page: Page, phase: 'open' | 'saved' | 'let-go' | 'deleted', name: string): Locator {
  return page.locator(`.line[data-phase=${phase}]`).getByText(name, { exact: true })
}

/** The width of the image as it was decoded, 0 as long as it is not. */
function decodedWidth(image: Locator): Promise<number> {
  return image.evaluate((element) => (element as HTMLImageElement).naturalWidth)
}

test('images have thumbnails that decode, other files show their kind', async () => {
  const { page, complaints } = await world.open()
  await page.locator('#new-files').setInputFiles([
    {
      name: 'sea.png',
      mimeType: 'image/png',
      buffer: await paint(page, 'png', 'linear-gradient(skyblue, navy)'),
    },
    {
      name: 'sun.jpg',
      mimeType: 'image/jpeg',
      buffer: await paint(page, 'jpeg', 'radial-gradient(gold, tomato)'),
    },
    { name: 'rows.csv', mimeType: 'text/csv', buffer: Buffer.from('a,b\n') },
  ])
  await expect.poll(() => decodedWidth(row(page, 'sea.png').locator('img'))).toBe(800)
  await expect.poll(() => decodedWidth(row(page, 'sun.jpg').locator('img'))).toBe(800)
  await row(page, 'rows.csv').getByText('CSV', { exact: true }).waitFor()
  expect(complaints).toEqual([])
})

test('a thumbnail whose link did not work is tried once more with another link', async () => {
  const { page } = await world.open()
  world.proxy.inject({ on: 'GetObject', kind: 'accessDenied' })
  const buffer = await paint(page, 'png', 'teal')
  await page.locator('#new-files').setInputFiles({ name: 'sea.png', mimeType: 'image/png', buffer })
  await expect.poll(() => decodedWidth(row(page, 'sea.png').locator('img'))).toBe(800)
})

test('a file shows the kind that is stored, whatever its name and type say', async () => {
  const { page } = await world.open()
  await dropFiles(page, '#drop', [{ name: 'zeros.png', type: 'image/png', size: 1000 }])
  await row(page, 'zeros.png').getByText('FILE', { exact: true }).waitFor()
  const files = [{ name: 'page.png', mimeType: 'image/png', buffer: Buffer.from('%PDF-1.7\n') }]
  await page.locator('#new-files').setInputFiles(files)
  await row(page, 'page.png').getByText('PDF', { exact: true }).waitFor()
})

test('a replacement that is refused says so at the document, until one is stored', async () => {
  const { page } = await world.open()
  await pickText(page, 'plan.txt')
  await row(page, 'plan.txt').waitFor()
  const replace = async (name: string) => {
    const chooser = page.waitForEvent('filechooser')
    await page.getByRole('button', { name: 'Replace plan.txt' }).click()
    await (await chooser).setFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(name) })
  }
  world.proxy.inject({ on: 'PutObject', kind: 'accessDenied' })
  await replace('refused.txt')
  await row(page, 'plan.txt')
    .getByText('Not replaced. The file store does not answer as it should.')
    .waitFor()
  await replace('better.txt')
  await row(page, 'better.txt').waitFor()
  await row(page, 'better.txt').getByText('Not replaced.').waitFor({ state: 'hidden' })
})

test('the picture is shown, changed and removed, with its object', async () => {
  const { page, complaints } = await world.open()
  const portrait = page.locator('#portrait img')
  const picture = async (name: string, colour: string) => ({
    name,
    mimeType: 'image/png',
    buffer: await paint(page, 'png', colour),
  })
  await page.locator('#picture').setInputFiles(await picture('first.png', 'teal'))
  await expect.poll(() => decodedWidth(portrait)).toBe(800)
  const first = await portrait.getAttribute('src')
  await page.locator('#picture').setInputFiles(await picture('second.png', 'tomato'))
  await expect.poll(() => portrait.getAttribute('src')).not.toBe(first)
  await line(page, 'let-go', 'first.png').waitFor()

  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
  await page.getByText('none yet').waitFor()
  await line(page, 'deleted', 'second.png').waitFor()
  await line(page, 'deleted', 'first.png').waitFor()
  expect(await world.keys()).toEqual([])
  expect(complaints).toEqual([])
})

test('another file takes the place of one, whose object goes', async () => {
  const { page, complaints } = await world.open()
  const chooser = page.waitForEvent('filechooser')
  await pickText(page, 'draft.txt')
  await row(page, 'draft.txt').waitFor()
  const [before] = await world.keys()
  await page.getByRole('button', { name: 'Replace draft.txt' }).click()
  await (await chooser).setFiles({ name: 'final.txt', mimeType: 'text/plain', buffer: Buffer.from('final') })
  await row(page, 'final.txt').waitFor()
  expect(await page.locator('.document').count()).toBe(1)
  await line(page, 'saved', 'final.txt').waitFor()
  await line(page, 'let-go', 'draft.txt').waitFor()
  await line(page, 'deleted', 'draft.txt').waitFor()
  const after = await world.keys()
  expect(after).toHaveLength(1)
  expect(after).not.toContain(before)
  expect(complaints).toEqual([])
})

test('a deleted document goes after a question, its object a little later, as the journal tells', async () => {
  const { page, complaints } = await world.open()
  await pickText(page, 'goes.txt')
  await row(page, 'goes.txt').waitFor()
  await line(page, 'saved', 'goes.txt').waitFor()

  await page.getByRole('button', { name: 'Delete goes.txt' }).click()
  await page
    .getByRole('dialog', { name: 'Delete “goes.txt”?' })
    .getByRole('button', { name: 'Keep it' })
    .click()
  expect(await world.names()).toEqual(['goes.txt'])

  await page.getByRole('button', { name: 'Delete goes.txt' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await row(page, 'goes.txt').waitFor({ state: 'detached' })
  await line(page, 'let-go', 'goes.txt').waitFor()
  await page.getByText(/^No row has it\. It goes in 0:\d\d\.$/).waitFor()
  await line(page, 'deleted', 'goes.txt').waitFor()
  expect(await world.keys()).toEqual([])
  expect(complaints).toEqual([])
})

test('a document that somebody else has deleted is told of', async () => {
  const { page, complaints } = await world.open()
  await pickText(page, 'a.txt')
  await row(page, 'a.txt').waitFor()
  await page.getByRole('button', { name: 'Delete a.txt' }).click()
  await world.deleteDocuments()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  const told = '“a.txt” was not deleted. It is not there any more. Somebody else has deleted it.'
  await page.getByRole('alert').getByText(told).waitFor({ state: 'attached' })
  await page.locator('#notice').getByText(told).waitFor()
  await page.screenshot({ path: 'test/browser/screenshots/notice.png' })
  expect(complaints).toEqual([expect.stringContaining('404')])
})

test('what happens in one window is seen in another', async () => {
  const [one, other] = [await world.open(), await world.open()]
  await pickText(one.page, 'a.txt')
  await row(other.page, 'a.txt').waitFor()
  await one.page.getByRole('button', { name: 'Delete a.txt' }).click()
  await one.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await row(other.page, 'a.txt').waitFor({ state: 'detached' })
  expect([...one.complaints, ...other.complaints]).toEqual([])
})

test('a link counts down, ends visibly, and is made anew by a click', async () => {
  const { page, complaints } = await world.open()
  await pickText(page, 'a.txt', 'content')
  await row(page, 'a.txt')
    .getByText(/^Link good for [12]:\d\d$/)
    .waitFor()
  const link = row(page, 'a.txt').locator('a')

  await page.clock.setFixedTime(Date.now() + 200_000)
  await row(page, 'a.txt').getByText('Link has ended').waitFor()
  expect(await link.getAttribute('href')).toBeNull()
  await page.screenshot({ path: 'test/browser/screenshots/link-ended.png' })

  await page.clock.setFixedTime(Date.now())
  await page.getByRole('button', { name: 'New link for a.txt' }).click()
  await row(page, 'a.txt')
    .getByText(/^Link good for/)
    .waitFor()
  expect(await (await fetch((await link.getAttribute('href')) as string)).text()).toBe('content')
  expect(complaints).toEqual([])
})

test('the keyboard alone uploads and deletes, and never loses its place', async () => {
  const { page, complaints } = await world.open()
  const hasFocus = (control: Locator) => control.evaluate((element) => element === document.activeElement)
  const names = ['b.txt', 'a.txt']
  // Before the first key: the browser takes a moment to give its dialogs away.
  page.on('filechooser', (chooser) =>
    chooser.setFiles({ name: names.shift() as string, mimeType: 'text/plain', buffer: Buffer.from('text') }),
  )
  const input = page.locator('#new-files')
  while (!(await hasFocus(input))) await page.keyboard.press('Tab')
  for (const name of [...names]) {
    await page.keyboard.press('Space')
    await row(page, name).waitFor()
    expect(await hasFocus(input)).toBe(true)
  }

  await tabTo(page, 'Delete a.txt')
  // The dialog takes the focus a moment after the key: a Tab before that would go elsewhere.
  const openDialog = async () => {
    await page.keyboard.press('Enter')
    await expect.poll(() => hasFocus(page.getByRole('button', { name: 'Keep it' }))).toBe(true)
  }
  await openDialog()
  await page.keyboard.press('Escape')
  await expect.poll(() => hasFocus(page.getByRole('button', { name: 'Delete a.txt' }))).toBe(true)

  await openDialog()
  await tabTo(page, 'Delete')
  await page.keyboard.press('Enter')
  await row(page, 'a.txt').waitFor({ state: 'detached' })
  await expect.poll(() => hasFocus(page.getByRole('button', { name: 'Delete b.txt' }))).toBe(true)

  await openDialog()
  await tabTo(page, 'Delete')
  await page.keyboard.press('Enter')
  await row(page, 'b.txt').waitFor({ state: 'detached' })
  await expect.poll(() => hasFocus(page.locator('#list-title'))).toBe(true)
  expect(await world.names()).toEqual([])
  expect(complaints).toEqual([])
})
