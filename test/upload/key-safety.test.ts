import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { displayName, extensionOf } from '../../src/core/file-name.ts'
import { type KeyContext, makeKey } from '../../src/core/key-strategy.ts'
import { isReservedKeySegment, maxKeyBytes } from '../../src/core/object-key.ts'
import { requestedPrefix } from '../../src/upload/prefix-query-param.ts'
import { anyText } from '../core/any-text.ts'

const fieldPrefix = 'documents/'

function fileNamed(name: string): KeyContext {
  return { name, extension: extensionOf(name), contentType: 'x/y', field: undefined, request: undefined }
}

/** What every key has to be, however it came about. */
function assertSafe(key: string): void {
  expect(key.startsWith(fieldPrefix)).toBe(true)
  expect(Buffer.byteLength(key)).toBeLessThanOrEqual(maxKeyBytes)
  expect(Buffer.from(key).toString()).toBe(key) // No half of a character, which UTF-8 cannot say.
  for (const segment of key.split('/')) {
    expect(['', '.', '..']).not.toContain(segment)
    expect(segment.trim()).toBe(segment)
    expect(isReservedKeySegment(segment)).toBe(false)
  }
  expect(key).not.toMatch(/[\\\p{Cc}]|%(?:2e|2f|5c|00)/iu)
  // A URL parser leaves it where it is: nobody climbs out on the way to the store.
  const path = new URL(`http://store/bucket/${key.split('/').map(encodeURIComponent).join('/')}`).pathname
  expect(path.split('/').slice(2).map(decodeURIComponent).join('/')).toBe(key)
}

/** Texts of what is dangerous in paths, more often than chance would have it. */
const path = fc.oneof(
  fc
    .array(fc.constantFrom('a', 'é', 'B/', '%20', '.x', ' c'), { maxLength: 6 })
    .map((pieces) => pieces.join('')),
  anyText(60),
  fc
    .array(
      fc.constantFrom(
        'a',
        'é',
        'e\u0301',
        '/',
        '//',
        '.',
        '..',
        ' ',
        '%2F',
        '%2e',
        '\\',
        '\u0000',
        '\ud800',
        'con',
        '__XLDIR__',
        '\u3000',
      ),
      { maxLength: 8 },
    )
    .map((pieces) => pieces.join('')),
)

it('no prefix that a client asks for leaves that of the field', async () => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(path, anyText(60), fc.boolean(), async (asked, name, isEncoded) => {
      const value = isEncoded ? encodeURIComponent(asked.toWellFormed()) : asked
      let prefix: string
      try {
        prefix = requestedPrefix({ name: 'p', allow: () => true }, `/files?p=${value}`)
      } catch (error) {
        if (!isS3FileError(error, 'invalid-prefix')) throw error
        return
      }
      accepted++
      for (const strategy of ['unique', 'timestamped'] as const) {
        const { key } = await makeKey(strategy, fieldPrefix + prefix, fileNamed(displayName(name)))
        assertSafe(key)
        expect(key.startsWith(fieldPrefix + prefix)).toBe(true)
      }
    }),
    { numRuns: 1000 },
  )
  expect(accepted).toBeGreaterThan(20)
})

it('no key function gets a key past the checks that leaves its prefix or means two things', async () => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof(path, fc.constantFrom('é'.repeat(600), 'a'.repeat(1015))), async (result) => {
      try {
        const { key } = await makeKey(() => result, fieldPrefix, fileNamed('x'))
        expect(key).toBe(fieldPrefix + result)
        accepted++
        assertSafe(key)
      } catch (error) {
        if (!isS3FileError(error, 'invalid-key')) throw error
      }
    }),
    { numRuns: 1000 },
  )
  expect(accepted).toBeGreaterThan(20)
})

it.each(['unique', 'timestamped'] as const)('files of one name never meet: %s keys', async (strategy) => {
  await fc.assert(
    fc.asyncProperty(anyText(60), async (name) => {
      const file = fileNamed(displayName(name))
      const keys = await Promise.all(Array.from({ length: 20 }, () => makeKey(strategy, fieldPrefix, file)))
      expect(new Set(keys.map(({ key }) => key)).size).toBe(20)
      // Nor in a store, or a backup of it, that holds upper and lower case or composed and decomposed for the same.
      expect(new Set(keys.map(({ key }) => key.toLowerCase().normalize('NFC'))).size).toBe(20)
    }),
  )
})
