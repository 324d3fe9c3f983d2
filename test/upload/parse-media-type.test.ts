import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseMediaType } from '../../src/upload/parse-media-type.ts'

it.each([
  ['multipart/form-data; x="a\\"; boundary=zz; y="; boundary=b', 'b'],
  ['multipart/form-data; boundary="a\\"b\\\\"', 'a"b\\'],
  ['multipart/form-data ;boundary=b;', 'b'],
  ['multipart/form-data; boundary=first; BOUNDARY=second', 'first'],
  ['multipart/form-data; x="y"; boundary=zz"; boundary=b', 'zz"'],
  ['multipart/form-data; x="y" boundary=zz; boundary=b', 'b'],
  ['multipart/form-data; x="y"xboundary=zz; boundary=b', 'b'],
  ['multipart/form-data; boundary="b', 'b'],
  ['multipart/form-data; boundary="b\\', 'b\\'],
  ['multipart/form-data; boundary= ; boundary=b', 'b'],
  ['multipart/form-data; boundary =a; boundary=b', 'b'],
  ['multipart/form-data; boundary=a=b/c', 'a=b/c'],
  ['multipart/form-data; boundary="a,b"', 'a,b'],
  ['multipart/form-data; boundary=a, multipart/form-data; boundary=b', 'b'],
  ['multipart/form-data; boundary=a, nonsense', 'a'],
])('reads from %s the boundary %j, as the Fetch standard does', (header, boundary) => {
  expect(parseMediaType(header)?.parameters.get('boundary')).toBe(boundary)
})

it.each([
  undefined,
  '',
  'multipart',
  'multipart/',
  '/form-data',
  'multi part/form-data',
  '*/*',
  'a/b/c',
  ', ;',
  `a/b${';x=y'.repeat(256)}`,
])('takes %j for no type', (header) => {
  expect(parseMediaType(header)).toBeUndefined()
})

it('reads any Content-Type as fetch does', async () => {
  const pieces = [
    'multipart/form-data',
    'text/plain',
    'a',
    '/',
    ';',
    '; ',
    ';b=',
    ';x="',
    '=',
    'b',
    'C',
    '"',
    '\\',
    ',',
  ]
  const header = fc.array(fc.constantFrom(...pieces, ' ', '*/*', 'boundary', '"b"'), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(header, async (parts) => {
      const text = `multipart/form-data${parts.join('')}`.trim()
      fc.pre(!/= +(?:[;,]|$)/.test(text)) // Node keeps a value of one blank, which the standard drops.
      const { type } = await new Response('', { headers: { 'content-type': text } }).blob()
      expect(written(parseMediaType(text)).toLowerCase()).toBe(type.toLowerCase())
    }),
    { numRuns: 3000 },
  )
})

/** As the MIME Sniffing standard serializes a type. */
function written(type: ReturnType<typeof parseMediaType>): string {
  const value = (text: string) => (/^[\w*-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`)
  const parameters = [...(type?.parameters ?? [])].map(([name, text]) => `;${name}=${value(text)}`)
  return type === undefined ? '' : type.essence + parameters.join('')
}
