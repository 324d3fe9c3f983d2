import type { Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { png } from '../support/sample-heads.ts'
import { DemoWorld } from './demo-world.ts'
import { dropFiles, Network, paint, pickText } from './page-actions.ts'

let world: DemoWorld
beforeAll(async () => {
  world = await DemoWorld.start()
})
beforeEach(() => world.clear())
afterAll(() => world?.stop())

const large = { name: 'large.bin', type: 'application/octet-stream', size: 120_000_000 }

function card(page: Page, name: string) {
  return page.locator('.upload').filter({ hasText: name })
}

/** Brings an upload to where S3 has some of it, and the rest takes the network half a minute more. */
async function startSlowUpload(page: Page, name = large.name): Promise<Network> {
  const network = await Network.of(page)
  await network.slow(4_000_000)
  await dropFiles(page, '#drop', [{ ...large, name }])
  await expect.poll(() => world.proxy.countOf('UploadPart')).toBeGreaterThan(0)
  return network
}

async function expectNothingStored(): Promise<void> {
  await expect.poll(() => world.openUploads()).toEqual([])
  expect(await world.keys()).toEqual([])
  expect(await world.names()).toEqual([])
}

test('a picked file is stored, listed and can be downloaded', async () => {
  const { page, complaints } = await world.open()
  await pickText(page, 'Übersicht.txt', 'all of it')
  await card(page, 'Übersicht.txt').getByText('Stored · 9 bytes').waitFor()
  const row = page.locator('.document').filter({ hasText: 'Übersicht.txt' })
  await row.getByText('9 bytes · text/plain').waitFor()
  await row.getByText(/^Link good for [12]:\d\d$/).waitFor()
  const answer = await fetch((await row.getByRole('link').getAttribute('href')) as string)
  expect(await answer.text()).toBe('all of it')
  expect(await world.names()).toEqual(['Übersicht.txt'])
  expect(complaints).toEqual([])
})

test('files that are dropped together are all stored, two at a time', async () => {
  const { page, complaints } = await world.open()
  const network = await Network.of(page)
  await network.slow(1_000)
  const names = ['a.bin', 'b.bin', 'c.bin', 'd.bin', 'e.bin']
  // The first two are larger than what the browser and the sockets hold, so that they cannot slip through.
  const sizeOf = (name: string) => (name < 'c' ? 20_000_000 : 100_000)
  const files = names.map((name) => ({ name, type: 'application/octet-stream', size: sizeOf(name) }))
  await dropFiles(page, '#drop', files)
  await card(page, 'c.bin').getByText('Waiting · 100 kB').waitFor()
  expect(await page.locator('.upload[data-state=sending]').count()).toBe(2)
  expect(await page.locator('.upload[data-state=waiting]').count()).toBe(3)

  await card(page, 'a.bin').getByRole('button', { name: 'Cancel' }).click()
  await card(page, 'b.bin').getByRole('button', { name: 'Cancel' }).click()
  await network.mend()
  await page.getByText('3 of 5 stored').waitFor()
  expect((await world.names()).sort()).toEqual(['c.bin', 'd.bin', 'e.bin'])
  await page.getByRole('button', { name: 'Clear finished' }).click()
  await page.locator('#queue').waitFor({ state: 'hidden' })
  expect(complaints).toEqual([])
})

test('progress, speed and remaining time are shown, and nothing moves meanwhile', async () => {
  const { page, complaints } = await world.open()
  await (await Network.of(page)).slow(1_000_000)
  await dropFiles(page, '#drop', [{ ...large, name: 'slow.bin', size: 4_000_000 }])
  const place = () => page.locator('#list-title').boundingBox()
  const state = card(page, 'slow.bin').locator('.upload-state')
  await state.getByText(/^[1-9]\d? % of 4 MB · [\d.]+ [kM]B\/s · 0:0\d left$/).waitFor()
  const before = await place()
  const bar = page.getByRole('progressbar', { name: 'Upload of slow.bin' })
  expect(Number(await bar.getAttribute('value'))).toBeLessThan(1)
  await page.screenshot({ path: 'test/browser/screenshots/progress.png' })
  await state.getByText('Stored').waitFor()
  expect(await place()).toEqual(before)
  expect(complaints).toEqual([])
})

test('an upload that is cancelled midway leaves nothing behind', async () => {
  const { page, complaints } = await world.open()
  await startSlowUpload(page, 'given-up.bin')
  await page.locator('.line[data-phase=open]').getByText('given-up.bin', { exact: true }).waitFor()
  await page.screenshot({ path: 'test/browser/screenshots/slow.png' })
  await card(page, 'given-up.bin').getByRole('button', { name: 'Cancel' }).click()
  await card(page, 'given-up.bin').getByText('Cancelled. Nothing of it is kept.').waitFor()
  await expectNothingStored()
  await page.locator('.line[data-phase=deleted]').getByText('given-up.bin', { exact: true }).waitFor()
  expect(complaints).toEqual([])
})

test('all uploads can be cancelled at once', async () => {
  const { page, complaints } = await world.open()
  await (await Network.of(page)).slow(1_000_000)
  const files = ['a', 'b', 'c'].map((name) => ({ ...large, name: `${name}.bin` }))
  await dropFiles(page, '#drop', files)
  await expect.poll(() => world.openUploads()).toHaveLength(2)
  await page.getByRole('button', { name: 'Cancel all' }).click()
  await expect.poll(() => page.locator('.upload[data-state=cancelled]').count()).toBe(3)
  await page.locator('#clear-finished:focus').waitFor()
  await expectNothingStored()
  expect(complaints).toEqual([])
})

test('an upload under way can be cancelled, and pretends nothing else', async () => {
  const { page, complaints } = await world.open()
  await startSlowUpload(page)
  expect(await card(page, 'large.bin').getByRole('button').allTextContents()).toEqual(['Cancel'])
  await card(page, 'large.bin').getByRole('button', { name: 'Cancel' }).click()
  const offered = card(page, 'large.bin').getByRole('button')
  expect(await offered.allTextContents()).toEqual(['Try again', 'Remove'])
  await expectNothingStored()
  expect(complaints).toEqual([])
})

test('a stored upload folds away, a refused one stays, and what is folded can be seen and cleared', async () => {
  const { page } = await world.open()
  await dropFiles(page, '#profile', [{ name: 'notes.txt', type: 'text/plain', size: 10 }])
  await pickText(page, 'a.txt')
  await card(page, 'a.txt').getByText('Stored').waitFor()
  await page.getByText('1 stored upload').waitFor()
  await card(page, 'a.txt').waitFor({ state: 'hidden' })
  await card(page, 'notes.txt').getByText('Not stored.').waitFor()

  await page.getByText('1 stored upload').click()
  await card(page, 'a.txt').getByText('Stored').waitFor()
  await page.getByRole('button', { name: 'Clear finished' }).click()
  await page.locator('#queue').waitFor({ state: 'hidden' })
})

test('a file that is too large is refused in plain words', async () => {
  const { page, complaints } = await world.open()
  const poster = { name: 'poster.png', type: 'image/png', size: 30_000_000, start: [...png] }
  await dropFiles(page, '#profile', [poster])
  await card(page, 'poster.png')
    .getByText('Not stored. It is too large. At most 1 MB are allowed here.')
    .waitFor()
  await expectNothingStored()
  expect(complaints).toEqual([expect.stringContaining('413')])
})

test('a file of another kind is refused in plain words', async () => {
  const { page, complaints } = await world.open()
  await dropFiles(page, '#profile', [{ name: 'notes.txt', type: 'text/plain', size: 10 }])
  await card(page, 'notes.txt')
    .getByText('Not stored. This kind of file is not accepted here, only PNG, JPEG, WEBP or GIF.')
    .waitFor()
  await page.getByRole('status').getByText('notes.txt: Not stored.').waitFor({ state: 'attached' })
  const words = 'notes.txt: This kind of file is not accepted here, only PNG, JPEG, WEBP or GIF.'
  await page.locator('#profile').getByText(words).waitFor()
  const picture = { name: 'me.png', mimeType: 'image/png', buffer: await paint(page, 'png', 'teal') }
  await page.locator('#picture').setInputFiles(picture)
  await page.locator('#picture-problem').waitFor({ state: 'hidden' })
  await page.locator('#portrait img').waitFor()
  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
  await page.getByText('none yet').waitFor()
  await expect.poll(() => world.keys()).toEqual([])
  await expectNothingStored()
  expect(complaints).toEqual([expect.stringContaining('415')])
})

test('a store that fails is told of without its secrets, and the upload can be tried again', async () => {
  const { page, complaints } = await world.open()
  world.proxy.inject({ on: 'PutObject', kind: 'accessDenied' })
  await pickText(page, 'a.txt')
  await card(page, 'a.txt').getByText('Not stored. The file store does not answer as it should.').waitFor()
  await card(page, 'a.txt').getByRole('button', { name: 'Try again' }).click()
  await card(page, 'a.txt').getByText('Stored').waitFor()
  expect(complaints).toEqual([expect.stringContaining('502')])
})

test('a server that goes away is told of, and goes on where it was once it is back', async () => {
  const { page } = await world.open()
  const network = await startSlowUpload(page)
  const port = Number(new URL(world.address).port)
  await world.stopServer()
  await card(page, 'large.bin').getByText('Not stored. The server does not answer').waitFor()
  await page.getByText('The server does not answer. Trying again …').waitFor()
  await page.screenshot({ path: 'test/browser/screenshots/server-down.png' })
  await network.mend()
  await world.startServer(port)
  await page.getByText('Connected').waitFor()
  await card(page, 'large.bin').getByRole('button', { name: 'Try again' }).click()
  await card(page, 'large.bin').getByText('Stored').waitFor()
  expect(await world.names()).toEqual(['large.bin'])
})

test('a network that is away is told of, and the upload can be tried again', async () => {
  const { page } = await world.open()
  const network = await Network.of(page)
  await network.cut()
  await pickText(page, 'a.txt')
  await card(page, 'a.txt').getByText('Not stored. You are offline.').waitFor()
  await network.mend()
  await card(page, 'a.txt').getByRole('button', { name: 'Try again' }).click()
  await card(page, 'a.txt').getByText('Stored').waitFor()
})
