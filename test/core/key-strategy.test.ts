import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { displayName, extensionOf } from '../../src/core/file-name.ts'
import {
  assertRoomForKeys,
  hasRoomForKeys,
  type KeyContext,
  type KeyFunction,
  makeKey,
} from '../../src/core/key-strategy.ts'
import { normalizePrefix } from '../../src/core/object-key.ts'
import { errorOf } from '../support/error-of.ts'
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

describe('a key for a column of some length', () => {
  const least = { unique: 35, timestamped: 50 }
  const random = () => 'R'.repeat(22)

  it.each([
    ['unique', 'r.pdf', 'RRRRRRRRRRRRRRRRRRRRRR/r.pdf'],
    ['unique', `${'long'.repeat(60)}.pdf`, 'RRRRRRRRRRRRRRRRRRRRRR/longlonglong.pdf'],
    ['unique', 'long long - long.jpeg', 'RRRRRRRRRRRRRRRRRRRRRR/long-long.jpeg'],
    ['unique', 'console-hello.text', 'RRRRRRRRRRRRRRRRRRRRRR/console-hel.text'],
    ['timestamped', 'report.pdf', 'repor_20261122093005_RRRRRRRRRRRRRRRRRRRRRR.pdf'],
  ] as const)('(%s) shortens the name %s and keeps its extension', async (strategy, name, expected) => {
    const maxLength = strategy === 'unique' ? 39 : 47
    const made = await makeKey(strategy, '', fileNamed(name), { ...sources, random, maxLength })
    expect(made.key).toBe(expected)
  })

  it.each(['unique', 'timestamped'] as const)(
    'fits, whatever the file is called: %s keys with the least length or more',
    async (strategy) => {
      const prefixes = fc.constantFrom('', 'invoices/', 'Belege/übrige/', '报告/')
      await fc.assert(
        fc.asyncProperty(
          fc.oneof(anyText(300), fc.constantFrom('con.pdf', 'console.txt', 'nul', '...', 'com1.tar.gz')),
          prefixes,
          fc.nat(80),
          async (given, prefix, more) => {
            const maxLength = [...prefix].length + least[strategy] + more
            expect(hasRoomForKeys(strategy, prefix, maxLength)).toBe(true)
            const { key, isUnique } = await makeKey(strategy, prefix, fileNamed(displayName(given)), {
              maxLength,
            })
            expect([...key].length).toBeLessThanOrEqual(maxLength)
            expect(key.startsWith(prefix)).toBe(true)
            expect(key).toMatch(/[A-Za-z0-9_-]{22}/)
            expect(isUnique).toBe(true)
          },
        ),
      )
    },
  )

  it.each(['unique', 'timestamped'] as const)(
    'has room for one in %s of the least length alone',
    (strategy) => {
      expect(hasRoomForKeys(strategy, 'p/', least[strategy] + 1)).toBe(false)
      const error = errorOf(() => assertRoomForKeys('me', strategy, 'p/', least[strategy] + 1))
      expect(error).toMatchObject({
        code: 'invalid-option',
        message:
          `me: the column has room for ${least[strategy] + 1} characters, and a key below 'p/' needs ` +
          `${least[strategy] + 2}: raise 'length' of 'column', or shorten the prefix`,
        context: { leastLength: least[strategy] + 2 },
      })
    },
  )

  it('is not cut when a function says it: it is refused', async () => {
    const fitting = await makeKey(() => 'é'.repeat(38), 'p/', report, { maxLength: 40 })
    expect(fitting.key).toHaveLength(40)
    await expect(makeKey(() => 'é'.repeat(39), 'p/', report, { maxLength: 40 })).rejects.toMatchObject({
      code: 'invalid-key',
      message: expect.stringContaining('it is longer than the 40 characters of its column'),
    })
  })
})
