import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { S3World } from '../support/s3-world.ts'

let world: S3World
beforeAll(async () => {
  world = await S3World.start()
})
beforeEach(() => world.proxy.reset())
afterAll(async () => {
  await world.stop()
})

/** All of them pass the checks of keys, and none may become another one on its way to the store and back. */
const oddKeys = [
  'plain.txt',
  'a b/c d.txt',
  'plus+and&equals=.txt',
  'question?mark#hash.txt',
  '100%.txt',
  '%20.txt',
  '%252e.txt',
  'quote\'s "both".txt',
  'semi;colon,comma:colon.txt',
  '[brackets]{braces}<angles>.txt',
  'tilde~caret^pipe|grave`.txt',
  '...',
  'a..b/.hidden',
  'trailing.dot.',
  'emoji 😀.txt',
  '报告/報告.txt',
  'composed-\u00e9.txt',
  'decomposed-e\u0301.txt',
  'UPPER.txt',
  'upper.txt',
  '@!$*().txt',
  'zero\u200bwidth.txt',
  'non\u00a0breaking.txt',
  'byte\ufefforder.txt',
]

it('odd keys are each an object of their own: stored, listed, read and served under just that key', async () => {
  for (const key of oddKeys) {
    const file = await uploadFromStream(Buffer.from(`content of ${key}`), { key: () => key, name: 'x.txt' })
    expect(file.key).toBe(world.prefix + key)
  }
  expect((await world.keys()).sort()).toEqual([...oddKeys].sort())
  for (const key of oddKeys) {
    const whole = world.prefix + key
    const content = `content of ${key}`
    expect((await buffer(await world.storage.open(whole))).toString()).toBe(content)
    expect((await world.storage.stat(whole))?.size).toBe(Buffer.byteLength(content))
    const { url } = await world.storage.url(whole)
    expect(await (await fetch(url)).text()).toBe(content)
  }
  expect(await world.storage.deleteMany(oddKeys.map((key) => world.prefix + key))).toEqual([])
  expect(await world.keys()).toEqual([])
})

it.each([
  'a//b',
  './a',
  'a/../b',
  'a\\b',
  ' a',
  'a ',
  'a/ /b',
  'a%2Fb',
  'a\u0000',
  'a\nb',
  '\ud800',
  'é'.repeat(600),
])('a key %j never reaches the store', async (key) => {
  const error = await uploadFromStream(Buffer.from('x'), { key: () => key }).catch(
    (caught: unknown) => caught,
  )
  expect(isS3FileError(error, 'invalid-key')).toBe(true)
  expect(world.proxy.countOf('PutObject')).toBe(0)
})
