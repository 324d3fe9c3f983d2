import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contentDisposition } from '../../src/core/content-disposition.ts'
import { anyText } from './any-text.ts'

describe('contentDisposition', () => {
  it.each([
    ['report.pdf', 'attachment; filename="report.pdf"'],
    ["it's (1).pdf", `attachment; filename="it's (1).pdf"`],
    ['', 'attachment; filename=""'],
  ])('writes the plain name %j once', (name, header) => {
    expect(contentDisposition('attachment', name)).toBe(header)
  })

  it.each([
    ['a quote', 'a"b.pdf', 'filename="a_b.pdf"; filename*=UTF-8\'\'a%22b.pdf'],
    ['a backslash', 'a\\b.pdf', 'filename="a_b.pdf"; filename*=UTF-8\'\'a%5Cb.pdf'],
    // Some browsers decode a percent sign even in the plain name.
    ['a percent sign', '100%25.pdf', 'filename="100_25.pdf"; filename*=UTF-8\'\'100%2525.pdf'],
    ['an accent', 'é.pdf', 'filename="_.pdf"; filename*=UTF-8\'\'%C3%A9.pdf'],
    ['Chinese', '报告.pdf', 'filename="__.pdf"; filename*=UTF-8\'\'%E6%8A%A5%E5%91%8A.pdf'],
    ['an emoji', '😀.pdf', 'filename="__.pdf"; filename*=UTF-8\'\'%F0%9F%98%80.pdf'],
    [
      'what RFC 8187 wants encoded',
      "é'()*!~.pdf",
      "filename=\"_'()*!~.pdf\"; filename*=UTF-8''%C3%A9%27%28%29%2A!~.pdf",
    ],
  ])('writes a name with %s in ASCII and in full', (_what, name, parameters) => {
    expect(contentDisposition('inline', name)).toBe(`inline; ${parameters}`)
  })

  it('lets no line end out into the headers', () => {
    expect(contentDisposition('attachment', 'a\r\nX-Evil: 1')).toBe('attachment; filename="a  X-Evil: 1"')
  })

  it('gives for any name a header of one line in ASCII that says the name', () => {
    const header =
      /^attachment; filename="([^"\\]*)"(?:; filename\*=UTF-8''((?:[\w!#$&+.^`|~-]|%[0-9A-F]{2})*))?$/
    fc.assert(
      fc.property(anyText(100), (name) => {
        const [, plain, full] = header.exec(contentDisposition('attachment', name)) ?? []
        expect(plain).toMatch(/^[\x20-\x7e]*$/)
        const said = full === undefined ? plain : decodeURIComponent(full)
        expect(said).toHaveLength(name.length)
        expect(said?.replaceAll(' ', '')).toBe(
          name
            .toWellFormed()
            // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what becomes a space
            .replace(/[\u0000-\u0020\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ''),
        )
      }),
    )
  })
})
