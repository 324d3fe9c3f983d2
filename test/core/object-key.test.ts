import { describe, expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import {
  isValidKey,
  normalizePrefix,
  pathProblem,
  replaceControlCharacters,
} from '../../src/core/object-key.ts'

const loneSurrogate = '\ud83d'

describe('isValidKey', () => {
  it.each([
    ['a plain path', 'a/b.pdf'],
    ['what other programs wrote, however odd', '/a//../b\\c \u0001'],
    ['1,024 bytes', 'a'.repeat(1024)],
    ['1,024 bytes of UTF-8', 'é'.repeat(512)],
  ])('takes %s', (_what, key) => {
    expect(isValidKey(key)).toBe(true)
  })

  it.each([
    ['an empty key', ''],
    ['1,025 bytes', 'a'.repeat(1025)],
    ['1,025 bytes in fewer characters', `${'é'.repeat(512)}a`],
    ['a lone surrogate', `a${loneSurrogate}`],
    ['a NUL', 'a\u0000b'],
  ])('refuses %s', (_what, key) => {
    expect(isValidKey(key)).toBe(false)
  })
})

const badPaths: [string, string][] = [
  ['/a', 'it starts with a slash'],
  ['a\\b', 'it has a backslash'],
  ['..', "it has a segment '..'"],
  ['../a', "it has a segment '..'"],
  ['a/../b', "it has a segment '..'"],
  ['a/..', "it has a segment '..'"],
  ['.', "it has a segment '.'"],
  ['a/./b', "it has a segment '.'"],
  ['a//b', 'it has an empty segment'],
  ['a\u0000b', 'it has control characters'],
  ['a\r\nb', 'it has control characters'],
  ['a\u007fb', 'it has control characters'],
  ['a\u0085b', 'it has control characters'],
  ['a\u2028b', 'it has control characters'],
  ['a\u202eb', 'it has control characters'],
  ['a\u200fb', 'it has control characters'],
  ['a\u061cb', 'it has control characters'],
  ['a\u2066b', 'it has control characters'],
  [`a${loneSurrogate}b`, 'it is not well-formed Unicode'],
  ['con', "it has the reserved name 'con'"],
  ['a/nul.txt', "it has the reserved name 'nul.txt'"],
  ['COM1', "it has the reserved name 'COM1'"],
  ['a/Aux/b', "it has the reserved name 'Aux'"],
  ['lpt0.tar.gz', "it has the reserved name 'lpt0.tar.gz'"],
  ['__XLDIR__', "it has the reserved name '__XLDIR__'"],
  ['a__XLDIR__/b', "it has the reserved name 'a__XLDIR__'"],
  [' a', 'a segment starts or ends with a space'],
  ['a ', 'a segment starts or ends with a space'],
  ['a /b', 'a segment starts or ends with a space'],
  ['a/\u00a0b', 'a segment starts or ends with a space'],
  ['a/ /b', 'a segment starts or ends with a space'],
  ['%2e%2e/a', 'it has an encoded dot, slash, backslash or NUL'],
  ['a/%2E./b', 'it has an encoded dot, slash, backslash or NUL'],
  ['a%2Fb', 'it has an encoded dot, slash, backslash or NUL'],
  ['a%5cb', 'it has an encoded dot, slash, backslash or NUL'],
  ['a%00b', 'it has an encoded dot, slash, backslash or NUL'],
]

describe('pathProblem', () => {
  it.each([
    'a',
    'a/b/c.pdf',
    '.hidden',
    'a..b',
    '...',
    'a b/c',
    '100%',
    'a%20b',
    "it's",
    '报告/é.pdf',
    '😀',
    'console',
    'com10',
    'a.con',
    'con_.txt',
  ])('finds none in %j', (path) => {
    expect(pathProblem(path)).toBeUndefined()
  })

  it.each([...badPaths, ['', 'it is empty'], ['a/', 'it has an empty segment']])(
    'says of %j that %s',
    (path, problem) => {
      expect(pathProblem(path)).toBe(problem)
    },
  )
})

describe('normalizePrefix', () => {
  it.each([
    [undefined, ''],
    ['', ''],
    ['invoices', 'invoices/'],
    ['invoices/', 'invoices/'],
    ['invoices/2026', 'invoices/2026/'],
  ])('writes %j as %j', (given, prefix) => {
    expect(normalizePrefix('owner', given)).toBe(prefix)
  })

  it.each([['a'.repeat(256)], ['é'.repeat(128)], [`${'a'.repeat(256)}/`]])(
    'takes 256 bytes of UTF-8: %s',
    (given) => {
      expect(normalizePrefix('owner', given)).toBe(`${given.replace('/', '')}/`)
    },
  )

  it.each([
    ...badPaths,
    ['/', 'it is empty'],
    ['a//', 'it has an empty segment'],
    [' ', 'a segment starts'],
    ['a'.repeat(257), 'it is longer than 256 bytes'],
    [`${'é'.repeat(128)}a`, 'it is longer than 256 bytes'],
  ])('refuses %j and names the owner, the prefix and the reason', (prefix, problem) => {
    try {
      normalizePrefix('S3Storage', prefix)
      expect.unreachable()
    } catch (error) {
      expect(isS3FileError(error, 'invalid-option')).toBe(true)
      expect((error as Error).message).toContain(`S3Storage: '${prefix}' cannot be a key prefix: ${problem}`)
    }
  })
})

describe('replaceControlCharacters', () => {
  it('replaces each one, and each half of a character', () => {
    expect(replaceControlCharacters(`a\r\nb\u202ec${loneSurrogate}`, '_')).toBe('a__b_c\ufffd')
  })

  it('gives the same answer each time', () => {
    const texts = ['\u0001', '\u0001', '\u0001'].map((text) => replaceControlCharacters(text, ''))
    expect(texts).toEqual(['', '', ''])
  })
})
