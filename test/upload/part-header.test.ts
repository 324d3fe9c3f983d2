import busboy from 'busboy'
import fc from 'fast-check'
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
      charset: 'utf-8',
      encoding: '7bit',
    })
  })

  it.each([
    ['name="a"; filename=""', undefined],
    ['name="a"; filename="a b.txt"', 'a b.txt'],
    ['name="a"; filename=b.txt', 'b.txt'],
    ['name="a";filename="b.txt" ;', 'b.txt'],
    ['name="a"; filename="say \\"hi\\" \\\\.txt"', 'say "hi" \\.txt'],
    ['name="a"; filename="C:\\Users\\me\\cv.pdf"', 'C:\\Users\\me\\cv.pdf'],
    ['name="a"; filename="../../etc/passwd"', '../../etc/passwd'],
    ['name="a"; filename="100%22.txt"', '100%22.txt'],
    ['name="a"; filename="b;c=d.txt"', 'b;c=d.txt'],
    ['name="a"; filename="first"; filename="second"', 'first'],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%e2%82%ac%20rates', '€ rates'],
    ['name="a"; filename*=utf-8\'en\'x%2Fy', 'x/y'],
    ['name="a"; filename*=iso-8859-1\'\'%a3', '£'],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%zz', 'plain'],
    ['name="a"; filename="plain"; filename*=UTF-8\'\'%ff', 'plain'],
    ['name="a"; filename="plain"; filename*=klingon\'\'x', 'plain'],
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
    ['', 'is malformed'],
    ['Content-Disposition form-data; name="a"', 'is malformed'],
    ['Content-Disposition: form-data; name="a"\u0000', 'is malformed'],
    ['Content-Disposition: form-data; name="a\nb"', 'is malformed'],
    ['Content-Disposition: form-data; name="a\u007f"', 'is malformed'],
    [' Content-Disposition: form-data; name="a"', 'is malformed'],
    ['Content-Type: text/plain', 'says not that it is form-data'],
    ['Content-Disposition: attachment; name="a"', 'says not that it is form-data'],
    ['Content-Disposition: form-data; name="a', 'says not that it is form-data'],
    ['Content-Disposition: form-data; name="a" b', 'says not that it is form-data'],
    ['Content-Disposition: form-data', 'names no field'],
    ['Content-Disposition: form-data; name=""', 'names no field'],
    [
      'Content-Disposition: form-data; name="a"; filename*=UTF-8\'\'%zz',
      'has a file name that cannot be read',
    ],
  ])('cannot be %j', (line, problem) => {
    expect(errorOf(() => parse(line))).toMatchObject({
      code: 'malformed-body',
      statusCode: 400,
      message: `the header of a part of the form ${problem}`,
    })
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

/** What busboy makes of a part with this header. */
async function busboyReads(header: Buffer): Promise<unknown> {
  const parser = busboy({
    headers: { 'content-type': 'multipart/form-data; boundary=xyz' },
    defParamCharset: 'utf8',
    preservePath: true,
  })
  return new Promise((resolve) => {
    parser.on('file', (name, stream, { filename, mimeType }) => {
      stream.on('error', () => undefined).resume()
      resolve({ name, filename, contentType: mimeType, isFile: true })
    })
    parser.on('field', (name, _value, { mimeType }) =>
      resolve({ name, filename: undefined, contentType: mimeType, isFile: false }),
    )
    parser.on('error', () => resolve('refused'))
    parser.on('close', () => resolve('refused'))
    parser.end(Buffer.concat([Buffer.from('--xyz\r\n'), header, Buffer.from('\r\n\r\n\r\n--xyz--')]))
  })
}

it('reads what busboy reads, and refuses what it refuses or passes over', async () => {
  const value = fc
    .array(
      fc.constantFrom(
        'a',
        'b.txt',
        ' ',
        ';',
        '=',
        '\\"',
        '\\\\',
        '%22',
        "'",
        'é',
        '报',
        '/',
        '..',
        '%e2%82%ac',
        '\t',
      ),
      { maxLength: 6 },
    )
    .map((pieces) => pieces.join(''))
  const token = fc.constantFrom('a', 'b.txt', 'x-1', '%22')
  const parameter = fc
    .tuple(
      fc.constantFrom('name', 'filename', 'Name', 'other'),
      fc.oneof(
        value.map((text) => `"${text}"`),
        token,
      ),
    )
    .map(([name, text]) => `${name}=${text}`)
  const type = fc.constantFrom(
    '',
    'text/plain',
    'Image/PNG',
    'application/octet-stream',
    'text/csv; charset=utf-8',
    'none',
  )
  await fc.assert(
    fc.asyncProperty(fc.array(parameter, { maxLength: 4 }), type, async (parameters, contentType) => {
      const lines = [`Content-Disposition: ${['form-data', ...parameters].join('; ')}`]
      if (contentType !== '') lines.push(`Content-Type: ${contentType}`)
      const header = Buffer.from(lines.join('\r\n'))
      const theirs = await busboyReads(header)
      let ours: unknown
      try {
        const { name, filename, contentType: ourType, isFile } = parsePartHeader(header)
        ours = { name, filename, contentType: ourType, isFile }
      } catch {
        ours = (theirs as { name?: string }).name === undefined ? theirs : 'refused'
      }
      expect(ours).toEqual(theirs)
    }),
    { numRuns: 500 },
  )
})
