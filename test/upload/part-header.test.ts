import { describe, expect, it } from 'vitest'
import type { UploadError } from '../../src/core/errors.ts'
import { parsePartHeader } from '../../src/upload/part-header.ts'
import { errorOf } from '../support/error-of.ts'

const parse = (...lines: string[]) => parsePartHeader(Buffer.from(lines.join('\r\n')))
const disposition = (parameters: string) => parse(`Content-Disposition: form-data; ${parameters}`)

describe('the header of a part', () => {
  it('says name, file name, type and encoding', () => {
    expect(
      parse(
        'content-disposition: form-data; name="cv"; filename="Prüfung 报告.pdf"',
        'Content-Type: Application/PDF; charset="UTF-16LE"',
        'CONTENT-TRANSFER-ENCODING: Base64 ',
        'X-Other: anything',
      ),
    ).toEqual({
      name: 'cv',
      filename: 'Prüfung 报告.pdf',
      isFile: true,
      contentType: 'application/pdf',
      charset: 'UTF-16LE',
      encoding: 'base64',
    })
  })

  it('of a field need not say more than its name', () => {
    expect(disposition('name=title')).toEqual({
      name: 'title',
      filename: undefined,
      isFile: false,
      contentType: 'text/plain',
      charset: undefined,
      encoding: '7bit',
    })
  })

  it.each([
    ['name="a"; filename=""', undefined],
    ['name="a"; filename="a b.txt"', 'a b.txt'],
    ['name="a"; filename=b.txt', 'b.txt'],
    ['name="a"; filename="say \\"hi\\" \\\\.txt"', 'say "hi" \\.txt'],
    ['name="a"; filename="C:\\Users\\me\\cv.pdf"', 'C:\\Users\\me\\cv.pdf'],
    ['name="a"; filename="../../etc/passwd"', '../../etc/passwd'],
    ['name="a"; filename="say %22hi%22%0d%0A.txt"', 'say "hi"\r\n.txt'],
    ['name="a"; filename="100%25%2e%2Fx%00.txt"', '100%25%2e%2Fx%00.txt'],
    ['name="a"; filename=100%22.txt', '100%22.txt'],
    ['name="a"; filename="report\\"', 'report\\'],
    ['filename="report\\"; name="a"', 'report\\'],
    ['name="a"; filename="b.txt";', 'b.txt'],
    ['name="a";; filename="b.txt" ; ', 'b.txt'],
    ['name = "a" ;filename\t=\tb.txt', 'b.txt'],
    ['name="a"; filename=', undefined],
    [`name="a"; filename="b.txt"${'; b=c'.repeat(29)}${';'.repeat(100)}`, 'b.txt'],
    ['name="a"; filename="b;c=d.txt"', 'b;c=d.txt'],
    ['name="a"; filename="first"; filename="second"', 'first'],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%e2%82%ac%20rates', '€ rates'],
    ['name="a"; filename*=utf-8\'en\'x%2Fy', 'x/y'],
    ['name="a"; filename*=iso-8859-1\'\'%a3', '£'],
    ['filename*=utf-8\'\'b%20c.txt; name="a"', 'b c.txt'],
    ['name="a"; filename="=?utf-8?B?5oqlLnR4dA==?="; filename*=utf-8\'\'%E6%8A%A5.txt', '报.txt'],
    ['name="a"; filename="IMG (1).jpg"; filename*=utf-8\'\'IMG%20(1).jpg', 'IMG (1).jpg'],
    [
      'name="a"; filename="it\'s @;b=c,(:*).jpg"; filename*=utf-8\'\'it\'s%20@;b=c,(:*).jpg',
      "it's @;b=c,(:*).jpg",
    ],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%zz', 'plain'],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%ff', 'plain'],
    ['name="a"; filename="plain"; filename*=klingon\'\'x', 'plain'],
    ['name="a"; filename*=UTF-8\'\'%zz', undefined],
  ])('with %s names the file %j', (parameters, filename) => {
    expect(disposition(parameters)).toMatchObject({ name: 'a', filename, isFile: true })
  })

  it.each([
    ['name="a\\b"', 'a\\b'],
    ['name="a\\\\b"', 'a\\b'],
    ['name="quo\\"ted"', 'quo"ted'],
    ['name="quo%22ted%0D%0A"', 'quo"ted\r\n'],
    ['name="a\\"; filename="b"', 'a\\'],
    ['NAME="first"; name="second"', 'first'],
    ["name*=utf-8''gr%C3%B6%C3%9Fe", 'größe'],
  ])('with %s names the field %j', (parameters, name) => {
    expect(disposition(parameters).name).toBe(name)
  })

  it.each([
    ['application/octet-stream', true],
    ['image/png', true],
    ['Application/PDF; x=y', true],
    ['multipart/mixed; boundary=b', true],
    ['text/plain; charset=utf-8', false],
    ['text/csv', false],
    ['application/json', false],
    ['application/vnd.api+json', false],
    ['application/xml', false],
    ['image/svg+xml', false],
    ['application/x-www-form-urlencoded', false],
    ['application/javascript', false],
    ['nonsense', false],
    ['', false],
  ])('without a file name, of type %j, is that of a file: %s', (type, isFile) => {
    expect(parse('Content-Disposition: form-data; name="a"', `Content-Type: ${type}`)).toMatchObject({
      isFile,
      filename: undefined,
    })
  })

  it('may be folded', () => {
    expect(parse('Content-Disposition: form-data;', ' name="a";', '\tfilename="b"').filename).toBe('b')
  })

  it('of a type that says that it is bytes is that of a file, name or not', () => {
    const octets = 'Content-Type: application/octet-stream'
    expect(parse('Content-Disposition: form-data; name="a"; filename=""', octets)).toMatchObject({
      isFile: true,
      filename: undefined,
    })
  })

  it.each([
    '',
    'Content-Disposition form-data; name="a"',
    'Content-Disposition: form-data; name="a"\u0000',
    'Content-Disposition: form-data; name="a\nb"',
    'Content-Disposition: form-data; name="a\u007f"',
    ' Content-Disposition: form-data; name="a"',
    'Content-Type: text/plain',
    'Content-Disposition: attachment; name="a"',
    'Content-Disposition: form-data; name="a',
    'Content-Disposition: form-data; name="a" b',
    'Content-Disposition: form-data',
    'Content-Disposition: form-data; name=""',
    'Content-Disposition: form-data; name="a" "b"',
    `Content-Disposition: form-data; name="a"${'; b=c'.repeat(32)}`,
    'Content-Disposition: form-database; name="a"',
    'Content-Disposition: form-data; name="a"\r\n--boundary--',
  ])('cannot be %j', (lines) => {
    expect(errorOf(() => parse(lines))).toMatchObject({ code: 'malformed-body', statusCode: 400 })
  })

  it('is read alike after any other one', () => {
    const whole = ['Content-Disposition: form-data; name="a"; filename="b.txt"', 'Content-Type: text/csv']
    const others = [
      'Content-Disposition: form-data; name="field"',
      'Content-Disposition: form-data; name="a"; filename=""\r\nContent-Type: application/octet-stream',
      'Content-Disposition: form-data; name="a"\u0000',
      'Content-Type: text/plain',
      'Content-Disposition: form-data; name="a"; filename*=UTF-8\'\'%zz',
      'Content-Disposition: form-data; name="a"\r',
      'Content-Disposition: form-data; name="a"\r\n\r\n--',
      '',
    ]
    const first = parse(...whole)
    for (let time = 0; time < 2000; time++) {
      codeOf(() => parse(others[time % others.length] as string))
      expect(parse(...whole)).toEqual(first)
    }
  })

  it('is read in a time that grows with its length alone, or this would not end', () => {
    const evil = [
      '\\'.repeat(8000),
      'a='.repeat(4000),
      '; '.repeat(4000),
      "'%".repeat(4000),
      ';a*='.repeat(2000),
      '";'.repeat(4000),
      ' '.repeat(8000),
    ]
    for (const text of evil) {
      for (const start of ['name="', 'name=a', 'name="a"; filename*=', 'name="a"; filename*=utf-8\'\'']) {
        expect([undefined, 'malformed-body']).toContain(codeOf(() => disposition(start + text)))
      }
    }
  })
})

function codeOf(action: () => unknown): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    return (error as UploadError).code
  }
}
