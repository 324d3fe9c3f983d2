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
      encoding: 'base64',
    })
  })

  it('of a field need not say more than its name', () => {
    expect(disposition('name=title')).toEqual({
      name: 'title',
      filename: undefined,
      isFile: false,
      contentType: 'text/plain',
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
    ['name="a"; filename="100%22.txt"', '100%22.txt'],
    ['name="a"; filename="b;c=d.txt"', 'b;c=d.txt'],
    ['name="a"; filename="first"; filename="second"', 'first'],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%e2%82%ac%20rates', '€ rates'],
    ['name="a"; filename*=utf-8\'en\'x%2Fy', 'x/y'],
    ['name="a"; filename*=iso-8859-1\'\'%a3', '£'],
  ])('with %s names the file %j', (parameters, filename) => {
    expect(disposition(parameters).filename).toBe(filename)
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
    // A name that cannot be read, which busboy passes over together with its file.
    'Content-Disposition: form-data; name="a"; filename*=UTF-8\'\'%zz',
    'Content-Disposition: form-data; name="a"; filename="plain"; filename*=klingon\'\'x',
    // What would end the form that busboy is given.
    'Content-Disposition: form-data; name="a"\r\n--typeorm-s3-file-part-header--',
    'Content-Disposition: form-data; name="a"\r\n--typeorm-s3-file-part-header\r\nContent-Disposition: form-data; name="b"',
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
      'Content-Disposition: form-data; name="a"\r\n--typeorm-s3-file-part-heade',
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
