import fc from 'fast-check'
import { expect, it } from 'vitest'
import { displayName } from '../../src/core/file-name.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFormFromRequest } from '../../src/upload/upload-from-request.ts'

/**
 * Where this package means to differ from `Request.formData()`, and so what is made the same before the two are compared:
 *
 * - A file's name is kept as `displayName()` makes it: without path and control characters, no longer than 255 bytes.
 * - A file's type is what its bytes are, not what the client claims: the types are not compared.
 * - An empty file without a name is an input in which nothing was chosen: `formData()` gives it, this package does not.
 * - Files and fields come apart, by name: their order is compared among files and fields of one name.
 * - `formData()` has names with `%22`, `%0A` and `%0D` as the characters that browsers write so. Here a name is what
 *   was sent, so that no line end comes out of it.
 */
const forms = 2000

interface Part {
  name: string
  filename: string | undefined
  type: string | undefined
  content: Uint8Array
}

// No quote, backslash or line end: browsers send these percent-encoded. No '%', so that nothing looks so by chance.
const nameCharacter = fc.constantFrom(...('abcXYZ019 ._-[]();=,é报😀\u00a0'.match(/./gu) as string[]))
const name = fc.array(nameCharacter, { minLength: 1, maxLength: 12 }).map((characters) => characters.join(''))
const content = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc
    .array(fc.constantFrom('\r', '\n', '\r\n', '-', '--', '--b', '\r\n--', 'x', 'é', '\0'), { maxLength: 20 })
    .map((pieces) => Buffer.from(pieces.join(''))),
  fc.integer({ min: 0, max: 9000 }).map((size) => Buffer.alloc(size, 'payload ')),
)
const type = fc.constantFrom(undefined, 'text/plain', 'image/png', 'application/octet-stream', 'text/x; a=b')
const field = fc.record({ name, content, filename: fc.constant(undefined), type: fc.constant(undefined) })
const file = fc.record({ name, content, filename: name, type })
const emptyInput = fc.record({
  name,
  content: fc.constant(new Uint8Array()),
  filename: fc.constant(''),
  type: fc.constant('application/octet-stream'),
})
const boundary = fc.constantFrom(
  'boundary',
  '----WebKitFormBoundary7MA4YWxkTrZu0gW',
  `${'-'.repeat(26)}1234567890`,
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
  const pieces = form.flatMap((part) => {
    const filename = part.filename === undefined ? '' : `; filename="${part.filename}"`
    const type = part.type === undefined ? '' : `Content-Type: ${part.type}\r\n`
    const header = `--${mark}\r\nContent-Disposition: form-data; name="${part.name}"${filename}\r\n${type}\r\n`
    return [Buffer.from(header), part.content, Buffer.from('\r\n')]
  })
  return Buffer.concat([...pieces, Buffer.from(`--${mark}--\r\n`)])
}

/** Bytes as text, which is compared much faster. */
type Told = Record<string, (string | { name: string; bytes: string })[]>

async function byThisPackage(request: Request): Promise<{ files: Told; fields: Told }> {
  const storage = new MemoryStorage()
  configureStorages({ default: storage })
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

async function byUndici(request: Request): Promise<{ files: Told; fields: Told }> {
  const [files, fields]: [Told, Told] = [Object.create(null), Object.create(null)]
  for (const [name, value] of await request.formData()) {
    if (typeof value === 'string') {
      fields[name] = [...(fields[name] ?? []), value]
    } else if (value.name !== '' || value.size > 0) {
      const bytes = Buffer.from(await value.arrayBuffer()).toString('latin1')
      files[name] = [...(files[name] ?? []), { name: displayName(value.name), bytes }]
    }
  }
  return { files, fields }
}

it('reads 2,000 forms as Request.formData() does, but for what it means to do otherwise', async () => {
  let compared = 0
  await fc.assert(
    fc.asyncProperty(parts, boundary, async (form, mark) => {
      const body = bodyOf(form, mark)
      const headers = { 'content-type': `multipart/form-data; boundary=${mark}` }
      const request = () => new Request('http://form/', { method: 'POST', body: body as never, headers })
      expect(await byThisPackage(request())).toEqual(await byUndici(request()))
      compared++
    }),
    { numRuns: forms },
  )
  expect(compared).toBe(forms)
}, 120_000)
