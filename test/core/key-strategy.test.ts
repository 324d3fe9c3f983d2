import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { displayName, extensionOf } from '../../src/core/file-name.ts'
import { type KeyContext, type KeyFunction, makeKey } from '../../src/core/key-strategy.ts'
import { normalizePrefix } from '../../src/core/object-key.ts'
import { anyText } from './any-text.ts'

const sources = { now: () => new Date('2026-11-22T09:30:05.678Z'), random: () => 'RANDOM' }

function fileNamed(name: string): KeyContext {
  return { name, extension: extensionOf(name), contentType: 'x/y', field: undefined, request: undefined }
}

const report = fileNamed('报告 Q3 résumé.PDF')

describe("a 'unique' key", () => {
  it('is the prefix, the random part and the name', async () => {
    expect(await makeKey('unique', 'documents/', report, sources)).toEqual({
      key: 'documents/RANDOM/Q3-resume.pdf',
      isUnique: true,
    })
    expect((await makeKey('unique', '', fileNamed('报告'), sources)).key).toBe('RANDOM/file')
  })

  it('has 128 random bits, each time others', async () => {
    const keys = await Promise.all(Array.from({ length: 100 }, () => makeKey('unique', '', report)))
    const parts = keys.map(({ key }) => key.split('/')[0] as string)
    expect(new Set(parts).size).toBe(100)
    for (const part of parts) expect(Buffer.from(part, 'base64url')).toHaveLength(16)
  })
})

describe("a 'timestamped' key", () => {
  it('is the prefix, the name, the time in UTC and the random part', async () => {
    expect(await makeKey('timestamped', 'documents/', report, sources)).toEqual({
      key: 'documents/Q3-resume_20261122093005_RANDOM.pdf',
      isUnique: true,
    })
    expect((await makeKey('timestamped', '', fileNamed('README'), sources)).key).toBe(
      'README_20261122093005_RANDOM',
    )
  })
})

describe('a key function', () => {
  it.each<[string, KeyFunction]>([
    ['at once', ({ name }) => `2026/${name}`],
    ['later', async ({ name }) => `2026/${name}`],
  ])('says what follows the prefix, %s, and its keys do not count as unique', async (_when, strategy) => {
    expect(await makeKey(strategy, 'documents/', report, sources)).toEqual({
      key: 'documents/2026/报告 Q3 résumé.PDF',
      isUnique: false,
    })
  })

  it('is told all that is known of the file', async () => {
    const known: KeyContext = { ...report, field: 'cv', request: { user: 7 } }
    const strategy = vi.fn<KeyFunction>(() => 'k')
    await makeKey(strategy, '', known)
    expect(strategy.mock.calls).toEqual([[known]])
  })

  it('fails the call with its own error', async () => {
    const error = new Error('no tenant')
    await expect(makeKey(() => Promise.reject(error), '', report)).rejects.toBe(error)
  })

  it.each([
    ['', 'it is empty'],
    ['/a', 'it starts with a slash'],
    ['../a', "it has a segment '..'"],
    ['a//b', 'it has an empty segment'],
    ['a\\b', 'it has a backslash'],
    ['a\nb', 'it has control characters'],
    ['%2e%2e/a', 'it has an encoded dot'],
    ['a'.repeat(1023), 'it is longer than 1024 bytes'],
    [`${'é'.repeat(511)}a`, 'it is longer than 1024 bytes'],
    [undefined, 'it is not a string'],
    [null, 'it is not a string'],
    [7, 'it is not a string'],
  ])('cannot return %j, and the message says why', async (result, problem) => {
    const error = await makeKey(() => result as string, 'p/', report).catch((caught) => caught)
    expect(isS3FileError(error, 'invalid-key')).toBe(true)
    expect(error.message).toContain(`cannot be an object's key: ${problem}`)
  })

  it('may use all of 1,024 bytes of UTF-8, the prefix included', async () => {
    const { key } = await makeKey(() => 'é'.repeat(511), 'p/', report)
    expect(Buffer.byteLength(key)).toBe(1024)
  })
})

it.each(['unique', 'timestamped'] as const)(
  'whatever a file is called, a %s key stays below its prefix, short and safe',
  async (strategy) => {
    const segments = fc.constantFrom(
      'invoices',
      '2026',
      '报告',
      'a b',
      '.hidden',
      '100%',
      "it's",
      'é'.repeat(30),
    )
    const prefix = fc
      .array(segments, { maxLength: 4, size: 'max' })
      .map((path) => normalizePrefix('test', path.join('/')))
    // The storage's, the field's and the client's, which may be as long as a prefix can be.
    const prefixes = fc
      .tuple(prefix, prefix, fc.oneof(prefix, fc.constant(`${'é'.repeat(128)}/`)))
      .map((each) => each.join(''))
    await fc.assert(
      fc.asyncProperty(anyText(300), prefixes, async (given, prefix) => {
        const { key } = await makeKey(strategy, prefix, fileNamed(displayName(given)))
        expect(key.startsWith(prefix)).toBe(true)
        expect(Buffer.byteLength(key)).toBeLessThanOrEqual(1024)
        expect(key.slice(prefix.length)).toMatch(/^[A-Za-z0-9._/-]+$/)
        expect(key).not.toMatch(/\p{Cc}|\/\/|(?:^|\/)\.{1,2}(?:\/|$)/u)
      }),
    )
  },
)
