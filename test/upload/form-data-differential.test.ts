import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { displayName } from '../../src/core/file-name.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFormFromRequest } from '../../src/upload/upload-from-request.ts'

/**
 * Where this package means to differ from `Request.formData()` of Node 24, and so what is made the same before the two are
 * compared, or is not sent:
 *
 * - A file's name is kept as `displayName()` makes it: without path and control characters, no longer than 255 bytes.
 * - A file's type is what its bytes are, not what the client claims: the types are not compared.
 * - A file without name and bytes is an input in which nothing was chosen: `formData()` gives it, this package does not.
 * - Files and fields come apart, by name: their order is compared among files and fields of one name.
 * - A file without a name is one by its type; `formData()` makes a text of it.
 * - `\"` and `\\` in names are escapes, as curl, Go and Python write them; `formData()` refuses the first and keeps the second.
 * - Text is decoded in the charset of its part; `formData()` takes all for UTF-8.
 * - `formData()` refuses blanks behind a boundary and before `=`, and takes the last of two parameters of one name.
 */
const forms = 2000

interface Part {
  /** The parameters of the Content-Disposition. */
  parameters: string
  /** Other header lines. */
  lines: string[]
  content: Uint8Array
}

const characters = (text: string) => fc.constantFrom(...(text.match(/./gsu) as string[]))
const anyName = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: characters('abcXYZ019 ._-[]();=,é报😀\u00a0') },
      { weight: 1, arbitrary: characters('"\r\n%2\\\'') },
      { weight: 1, arbitrary: fc.constantFrom('%22', '%0d', '%0A', '%41', '%00', 'a\\') },
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((pieces) => pieces.join(''))
  .filter((text) => !text.includes('\\\\'))
const tokenName = fc.stringMatching(/^[a-zA-Z0-9.%_-]{1,8}$/)

/** As the HTML standard has browsers write it. */
function quoted(name: string): string {
  const text = name.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22')
  return `"${text}"`
}

/** As RFC 8187 has it. */
function extended(name: string): string {
  const percent = (character: string) => `%${character.charCodeAt(0).toString(16)}`
  return `UTF-8''${encodeURIComponent(name).replace(/['()*]/g, percent)}`
}

const equals = fc.constantFrom('=', '=', '=', '= ')
const nameParameter = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom('name', 'Name'), equals, anyName.map(quoted)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('name'), equals, tokenName) },
)
const fileParameter = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constant('filename'), equals, anyName.map(quoted)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('filename'), equals, tokenName) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('filename*'), fc.constant('='), anyName.map(extended)) },
)
const plainAndExtended = fc
  .tuple(anyName, anyName)
  .map(([plain, full]) => ['filename=', quoted(plain), '; filename*=', extended(full)])
const text = (parameter: fc.Arbitrary<string[]>) => parameter.map((pieces) => pieces.join(''))
const end = fc.constantFrom('', '', '', ';', '; ')
const parametersOf = (...list: fc.Arbitrary<string[]>[]) =>
  fc
    .tuple(
      fc.shuffledSubarray(list.map(text), { minLength: list.length }).chain((each) => fc.tuple(...each)),
      end,
    )
    .map(([each, last]) => each.join('; ') + last)

const content = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc
    .array(fc.constantFrom('\r', '\n', '\r\n', '-', '--', '--b', '\r\n--', 'x', 'é', '\0'), { maxLength: 20 })
    .map((pieces) => Buffer.from(pieces.join(''))),
  fc.integer({ min: 0, max: 9000 }).map((size) => Buffer.alloc(size, 'payload ')),
)
const linesOf = (...types: (string | undefined)[]) =>
  fc
    .tuple(
      fc.constantFrom(...types),
      fc.subarray(['X-Odd: ;;"', 'Content-Length: 7', 'Content-Transfer-Encoding: binary']),
    )
    .map(([type, lines]) => (type === undefined ? lines : [...lines, `Content-Type: ${type}`]))
const textTypes = linesOf(
  undefined,
  'text/plain',
  'text/plain; charset="utf-8"',
  'application/json',
  'nonsense',
)
const fileTypes = linesOf(
  undefined,
  'text/plain',
  'image/png',
  'application/octet-stream',
  'text/x; a=b',
  'x',
)

const field = fc.record({ parameters: parametersOf(nameParameter), lines: textTypes, content })
const file = fc.record({
  parameters: fc.oneof(
    parametersOf(nameParameter, fileParameter),
    parametersOf(nameParameter, plainAndExtended),
  ),
  lines: fileTypes,
  content,
})
const emptyInput = fc.record({
  parameters: parametersOf(nameParameter, fc.constant(['filename=""'])),
  lines: linesOf('application/octet-stream'),
  content: fc.constant(new Uint8Array()),
})
const boundary = fc.constantFrom(
  'boundary',
  '----WebKitFormBoundary7MA4YWxkTrZu0gW',
  `${'-'.repeat(26)}1234567890`,
  "a'()+_,-./:=? z",
  'quo"te\\d',
)
const contentType = (mark: string) =>
  fc.constantFrom(
    `multipart/form-data; boundary="${mark.replace(/["\\]/g, '\\$&')}"`,
    `Multipart/Form-Data;charset=utf-8;BOUNDARY="${mark.replace(/["\\]/g, '\\$&')}";`,
    `multipart/form-data; x="a\\"; boundary=zz; y="; boundary="${mark.replace(/["\\]/g, '\\$&')}"; boundary=last`,
  )
const parts = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: field },
    { weight: 5, arbitrary: file },
    { weight: 1, arbitrary: emptyInput },
  ),
  { minLength: 1, maxLength: 8 },
)

function bodyOf(form: Part[], mark: string): Buffer {
  const pieces = form.flatMap(({ parameters, lines, content }) => {
    const header = [`Content-Disposition: form-data; ${parameters}`, ...lines].join('\r\n')
    return [Buffer.from(`--${mark}\r\n${header}\r\n\r\n`), content, Buffer.from('\r\n')]
  })
  return Buffer.concat([...pieces, Buffer.from(`--${mark}--\r\n`)])
}

/** Bytes as text, which is compared much faster. */
type Told = Record<string, (string | { name: string; bytes: string })[]>

async function byThisPackage(body: Buffer, type: string): Promise<{ files: Told; fields: Told }> {
  const storage = new MemoryStorage()
  configureStorages({ default: storage })
  const request = new Request('http://form/', {
    method: 'POST',
    body: body as never,
    headers: { 'content-type': type },
  })
  const { files, fields } = await uploadFormFromRequest(request)
  const told: Told = Object.create(null)
  for (const [name, list] of Object.entries(files)) {
    told[name] = list.map((each) => ({
      name: each.name,
      bytes: storage.objects.get(each.key)?.bytes.toString('latin1') as string,
    }))
  }
  return { files: told, fields }
}

const node24 = spawn(
  new URL('../../node_modules/node/bin/node', import.meta.url).pathname,
  [new URL('../support/form-data-process.mjs', import.meta.url).pathname],
  { stdio: ['pipe', 'pipe', 'inherit'] },
)
afterAll(() => node24.stdin.end())
const answers = createInterface(node24.stdout)[Symbol.asyncIterator]()

async function byNode24(body: Buffer, type: string): Promise<{ files: Told; fields: Told }> {
  node24.stdin.write(`${JSON.stringify({ contentType: type, body: body.toString('base64') })}\n`)
  const entries = JSON.parse((await answers.next()).value)
  if (entries.refusal !== undefined) throw new Error(`Node 24 refuses the form: ${entries.refusal}`)
  const [files, fields]: [Told, Told] = [Object.create(null), Object.create(null)]
  for (const { name, value, file } of entries) {
    if (file === undefined) {
      fields[name] = [...(fields[name] ?? []), value]
    } else if (file.name !== '' || file.bytes !== '') {
      files[name] = [...(files[name] ?? []), { ...file, name: displayName(file.name) }]
    }
  }
  return { files, fields }
}

it('reads 2,000 forms as Request.formData() does, but for what it means to do otherwise', async () => {
  let compared = 0
  const form = fc
    .tuple(parts, boundary)
    .chain(([list, mark]) => contentType(mark).map((type) => ({ list, mark, type })))
  await fc.assert(
    fc.asyncProperty(form, async ({ list, mark, type }) => {
      const body = bodyOf(list, mark)
      expect(await byThisPackage(body, type)).toEqual(await byNode24(body, type))
      compared++
    }),
    { numRuns: forms },
  )
  expect(compared).toBe(forms)
}, 120_000)
