import { describe, expect, it, vi } from 'vitest'
import {
  checkPrefixQueryParam,
  type PrefixQueryParam,
  requestedPrefix,
} from '../../src/upload/prefix-query-param.ts'
import { errorOf } from '../support/error-of.ts'

const name = '__prefix'
const anything = { name, allow: /.*/s }

describe('the prefix that a client asks for', () => {
  it.each([
    ['/files?__prefix=invoices', 'invoices/'],
    ['/files?__prefix=invoices/', 'invoices/'],
    ['/files?a=1&__prefix=invoices%2F2026', 'invoices/2026/'],
    ['https://host/files?__prefix=a+b', 'a b/'],
    ['/files?__prefix=%E6%8A%A5', '报/'],
  ])('of %s is %j', (url, prefix) => {
    expect(requestedPrefix(anything, url)).toBe(prefix)
  })

  it.each([
    ['without the parameter', anything, '/files?other=x'],
    ['with an empty one', anything, '/files?__prefix='],
    ['without a query', anything, '/files'],
    ['without a URL', anything, undefined],
    ['where clients have no say', undefined, '/files?__prefix=x'],
  ])('is none %s', (_where, param, url) => {
    expect(requestedPrefix(param, url)).toBe('')
  })

  it.each([
    ['..', "it has a segment '..'"],
    ['a/../../b', "it has a segment '..'"],
    ['/etc', 'it starts with a slash'],
    ['/', 'it is empty'],
    ['a//b', 'it has an empty segment'],
    ['a\\b', 'it has a backslash'],
    ['%2e%2e', 'it has an encoded dot, slash, backslash or NUL'],
    ['a%2fb', 'it has an encoded dot, slash, backslash or NUL'],
    ['a\u0000b', 'it has control characters'],
    ['a\r\nb', 'it has control characters'],
    ['a\u202eb', 'it has control characters'],
    ['a/nul', "it has the reserved name 'nul'"],
    ['a'.repeat(257), 'it is longer than 256 bytes'],
    [' a', 'a segment starts or ends with a space'],
  ])('cannot be %j, whatever is allowed', (prefix, problem) => {
    const error = errorOf(() => requestedPrefix(anything, `/files?__prefix=${encodeURIComponent(prefix)}`))
    expect(error).toMatchObject({ name: 'UploadError', code: 'invalid-prefix', statusCode: 400 })
    expect(error.message).toBe(`the prefix asked for in '__prefix' is refused: ${problem}`)
  })

  it('cannot be one that leaves no room for a key in its column', () => {
    const hasRoom = (prefix: string) => prefix.length < 5
    expect(requestedPrefix(anything, '/files?__prefix=abc', hasRoom)).toBe('abc/')
    expect(errorOf(() => requestedPrefix(anything, '/files?__prefix=abcd', hasRoom)).message).toBe(
      "the prefix asked for in '__prefix' is refused: it is too long",
    )
  })

  it('cannot be what URL decoding makes of %2e%2e', () => {
    expect(errorOf(() => requestedPrefix(anything, '/files?__prefix=%2e%2e%2fsecret')).code).toBe(
      'invalid-prefix',
    )
  })

  it.each<[string, PrefixQueryParam['allow'], string[], string[]]>([
    [
      'a list of prefixes',
      ['invoices', 'scans/2026/'],
      ['invoices', 'invoices/', 'scans/2026'],
      ['scans', 'invoices/2026', 'invoice', 'INVOICES'],
    ],
    [
      'a pattern for the whole of it',
      /invoices\/\d{4}/,
      ['invoices/2026'],
      ['my/invoices/2026', 'invoices/20261', 'invoices/2026/x'],
    ],
    ['a pattern with flags', /invoices\/\d{4}/giy, ['INVOICES/2026', 'invoices/2026'], ['x/invoices/2026']],
    ['a pattern of alternatives', /a|a\/b/, ['a', 'a/b'], ['b', 'a/bc', 'xa']],
    ['a function', (prefix) => prefix.startsWith('tenant-7/'), ['tenant-7/a'], ['tenant-8/a']],
  ])('is checked against %s', (_what, allow, allowed, refused) => {
    const ask = (prefix: string) => requestedPrefix({ name, allow }, `/files?__prefix=${prefix}`)
    for (const prefix of [...allowed, ...allowed]) expect(ask(prefix)).toBe(`${prefix.replace(/\/$/, '')}/`)
    for (const prefix of refused) {
      expect(errorOf(() => ask(prefix)).message).toBe(
        "the prefix asked for in '__prefix' is refused: it is not allowed",
      )
    }
  })

  it('is not allowed by a promise, whatever that says later', () => {
    const allow = vi.fn(async () => true)
    const ask = () => requestedPrefix({ name, allow: allow as never }, '/files?__prefix=a')
    expect(errorOf(ask).message).toBe("the prefix asked for in '__prefix' is refused: it is not allowed")
    expect(allow).toHaveBeenCalledTimes(1)
  })

  it('reaches a function only when it is safe, and without its closing slash', () => {
    const allow = vi.fn(() => true)
    requestedPrefix({ name, allow }, '/files?__prefix=a/b/')
    expect(allow.mock.calls).toEqual([['a/b']])
    errorOf(() => requestedPrefix({ name, allow }, '/files?__prefix=../b'))
    expect(allow).toHaveBeenCalledTimes(1)
  })
})

describe('prefixQueryParam', () => {
  it.each([undefined, { name, allow: [] }, { name, allow: /a/ }, { name, allow: () => true }])(
    'can be %o',
    (param) => {
      expect(() => checkPrefixQueryParam('owner', param)).not.toThrow()
    },
  )

  it.each([
    [{}, 'prefixQueryParam takes { name, allow }'],
    [{ name }, 'prefixQueryParam takes { name, allow }'],
    [{ allow: /a/ }, 'prefixQueryParam takes { name, allow }'],
    [{ name: '', allow: /a/ }, 'a non-empty string'],
    [{ name, allow: 'invoices' }, 'a list of prefixes, a regular expression or a function'],
    [{ name, allow: true }, 'a list of prefixes, a regular expression or a function'],
    [{ name, allowed: /a/ }, "did you mean 'allow'?"],
  ])('cannot be %o', (param, message) => {
    expect(() => checkPrefixQueryParam('owner', param as never)).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', message: expect.stringContaining(message) }),
    )
  })
})
