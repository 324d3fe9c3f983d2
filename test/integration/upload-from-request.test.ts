import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3FileError } from '../../src/core/errors.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import {
  type UploadRequestOptions,
  uploadFormFromRequest,
  uploadFromRequest,
} from '../../src/upload/upload-from-request.ts'
import { post, startServer, type TestServer } from '../support/http-server.ts'
import { boundary, formBody, formEnd, formType, partHead, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { jpeg, pdf, png } from '../support/sample-heads.ts'

const MiB = 1024 * 1024

let world: S3World
let server: TestServer
let options: UploadRequestOptions
let isForm: boolean
/** The file of the last upload. */
let uploaded: S3File

beforeAll(async () => {
  world = await S3World.start()
  server = await startServer(async (request) => {
    if (isForm) return uploadFormFromRequest(request, options)
    uploaded = await uploadFromRequest(request, options)
    return uploaded
  })
})
afterEach(async () => {
  options = {}
  isForm = false
  await world.clear()
})
afterAll(async () => {
  await server.stop()
  await world.stop()
})
options = {}
isForm = false

const send = (...parts: Parameters<typeof formBody>) => post(server.url, formBody(...parts), formType)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('an upload that is fine', () => {
  it('sends a file below one part in a single PUT', async () => {
    const content = Buffer.concat([pdf, sampleBytes(100_000 - pdf.length)])
    const answer = await send({ name: 'file', filename: 'report.pdf', content })
    expect(answer).toEqual({
      status: 200,
      body: { name: 'report.pdf', size: 100_000, contentType: 'application/pdf' },
    })
    expect(world.proxy.requests.map(({ operation }) => operation)).toEqual(['PutObject'])
    expect(sha256(await uploaded.bytes())).toBe(sha256(content))
    expect(uploaded.key).toMatch(new RegExp(`^${world.prefix}[\\w-]{22}/report\\.pdf$`))
    expect(uploaded.checksum).toMatch(/^crc32:.{6}==$/)
    expect((await world.storage.stat(uploaded.key))?.contentType).toBe('application/pdf')
  })

  it('sends a larger file in equal parts, several at once, and S3 has every byte', async () => {
    const content = sampleBytes(17 * MiB + 12_345)
    const { status } = await send({ name: 'file', filename: 'film.bin', content })
    expect(status).toBe(200)
    const parts = world.proxy.requests.filter(({ operation }) => operation === 'UploadPart')
    expect(parts.map(({ bodyBytes }) => bodyBytes).sort((a, b) => b - a)).toEqual([
      5 * MiB,
      5 * MiB,
      5 * MiB,
      2 * MiB + 12_345,
    ])
    expect(uploaded.size).toBe(content.length)
    expect(sha256(await uploaded.bytes())).toBe(sha256(content))
    expect(await world.openUploads()).toEqual([])
  })

  it.each([
    ['exactly one part', 5 * MiB, ['PutObject']],
    ['one and a quarter', 6.25 * MiB, ['PutObject']],
    [
      'more than one and a half',
      7.5 * MiB + 1,
      ['CreateMultipartUpload', 'UploadPart', 'UploadPart', 'CompleteMultipartUpload'],
    ],
    [
      'exactly two parts',
      10 * MiB,
      ['CreateMultipartUpload', 'UploadPart', 'UploadPart', 'CompleteMultipartUpload'],
    ],
    ['one byte', 1, ['PutObject']],
    ['no byte', 0, ['PutObject']],
  ])('stores a file of %s with no request too many', async (_, length, operations) => {
    const content = sampleBytes(length)
    const { status } = await send({ name: 'file', filename: 'x.bin', content })
    expect(status).toBe(200)
    expect(world.proxy.requests.map(({ operation }) => operation)).toEqual(operations)
    expect((await uploaded.bytes()).equals(content)).toBe(true)
  })

  it('passes the checksum of the whole object with Complete', async () => {
    const content = sampleBytes(8 * MiB)
    await send({ name: 'file', filename: 'x.bin', content })
    const complete = world.proxy.requests.find(({ operation }) => operation === 'CompleteMultipartUpload')
    expect(`crc32:${complete?.headers['x-amz-checksum-crc32']}`).toBe(uploaded.checksum)
    expect(complete?.headers['x-amz-checksum-type']).toBe('FULL_OBJECT')
    expect(complete?.headers['x-amz-mp-object-size']).toBe(String(content.length))
  })

  it('reports progress up to all bytes received and stored', async () => {
    const seen: { receivedBytes: number; storedBytes: number; totalBytes: number | undefined }[] = []
    options = { onProgress: (progress) => seen.push(progress) }
    const body = formBody({ name: 'file', filename: 'x.bin', content: sampleBytes(12 * MiB) })
    await post(server.url, body, formType)
    expect(seen.at(-1)).toEqual({
      receivedBytes: body.length,
      storedBytes: 12 * MiB,
      totalBytes: body.length,
    })
    expect(seen.length).toBeGreaterThan(3)
  })

  it('puts object parameters of storage and call on a single PUT and on multipart alike', async () => {
    options = {
      objectParams: ({ name }) => ({
        CacheControl: 'private',
        Metadata: { origin: name },
        Tagging: { kind: 'a b' },
      }),
    }
    for (const length of [10, 8 * MiB]) {
      world.proxy.reset()
      await send({ name: 'file', filename: 'x.bin', content: sampleBytes(length) })
      const request = world.proxy.requests.find(({ operation }) =>
        /^(PutObject|CreateMultipart)/.test(operation),
      )
      expect(request?.headers).toMatchObject({
        'cache-control': 'private',
        'x-amz-meta-origin': 'x.bin',
        'x-amz-tagging': 'kind=a+b',
        'content-disposition': 'attachment; filename="x.bin"',
      })
    }
  })

  it.each<[string, object]>([
    ['a key', { Key: 'elsewhere' }],
    ['a type', { ContentType: 'text/html' }],
    ['metadata that no header carries', { Metadata: { name: '报告' } }],
  ])('sends nothing when object parameters say %s', async (_, params) => {
    options = { objectParams: () => params }
    const answer = await send({ name: 'file', filename: 'x.bin', content: sampleBytes(10) })
    expect(answer).toMatchObject({
      status: 500,
      body: { message: expect.stringContaining('objectParams of') },
    })
    expect(world.proxy.requests).toEqual([])
  })

  it('collects all files and fields of a form in the order they came', async () => {
    isForm = true
    const { status, body } = await send(
      { name: 'title', content: 'Erklärung' },
      { name: 'photos', filename: 'a.png', type: 'image/png', content: png },
      { name: 'photos', filename: 'b.png', type: 'image/png', content: jpeg },
      { name: '__proto__', content: 'harmless' },
      { name: 'title', content: 'second' },
      { name: 'cv', filename: '', type: 'application/octet-stream', content: '' },
    )
    expect(status).toBe(200)
    expect(JSON.stringify(body)).toBe(
      JSON.stringify({
        files: {
          photos: [
            { name: 'a.png', size: png.length, contentType: 'image/png' },
            { name: 'b.png', size: jpeg.length, contentType: 'image/jpeg' },
          ],
        },
        fields: { title: ['Erklärung', 'second'], ['__proto__']: ['harmless'] },
      }),
    )
    expect(await world.keys()).toHaveLength(2)
  })
})

describe('names', () => {
  it.each([
    ['../../etc/passwd', 'passwd'],
    ['C:\\\\Users\\\\me\\\\cv.pdf', 'cv.pdf'],
    [`${'n'.repeat(296)}.pdf`, `${'n'.repeat(251)}.pdf`],
    ['Prüfung 报告 🎉.pdf', 'Prüfung 报告 🎉.pdf'],
    ['invoice\u202Efdp.exe', 'invoicefdp.exe'],
    ['quo%22te.txt', 'quo"te.txt'],
    ['say \\"hi\\".txt', 'say "hi".txt'],
    ['..', 'file'],
  ])('%s arrives as %s, with a key below the prefix', async (filename, name) => {
    const { status, body } = await send({ name: 'file', filename, content: 'x' })
    expect({ status, name: body.name }).toEqual({ status: 200, name })
    const [key] = await world.keys()
    expect(key).toMatch(/^[\w-]{22}\/[\w.-]{1,120}$/)
  })

  it('a line end in a name is no way into the headers', async () => {
    const { status, body } = await send({ name: 'file', filename: 'a\r\nX-Evil: 1.txt', content: 'x' })
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'malformed-body' })
    expect(await world.keys()).toEqual([])
  })
})

describe('bad input', () => {
  const nothingLeft = async () => {
    expect(await world.keys()).toEqual([])
    expect(await world.openUploads()).toEqual([])
  }

  it.each([
    ['no type', undefined],
    ['another type', 'application/json'],
    ['no boundary', 'multipart/form-data'],
    ['multipart of another kind', `multipart/mixed; boundary=${boundary}`],
  ])('%s is answered with 400', async (_, contentType) => {
    const body = formBody({ name: 'file', filename: 'a.txt', content: 'x' })
    const answer = await post(server.url, body, contentType)
    expect(answer).toMatchObject({ status: 400, body: { code: 'not-multipart' } })
    await nothingLeft()
  })

  it.each([
    ['after the last part, before the end', (body: Buffer) => body.subarray(0, body.length - formEnd.length)],
    ['in the middle of the first part', (body: Buffer) => body.subarray(0, 2 * MiB)],
    ['in the middle of a later part', (body: Buffer) => body.subarray(0, 11 * MiB)],
    ['in the headers', (body: Buffer) => body.subarray(0, 60)],
    ['in the closing boundary', (body: Buffer) => body.subarray(0, body.length - 5)],
  ])('a body that ends %s is answered with 400 and leaves nothing', async (_, cut) => {
    const body = cut(formBody({ name: 'file', filename: 'a.bin', content: sampleBytes(12 * MiB) }))
    const answer = await post(server.url, body, formType)
    expect(answer).toMatchObject({ status: 400, body: { code: 'truncated-body' } })
    await nothingLeft()
  })

  it('a malformed part header is answered with 400', async () => {
    const body = `--${boundary}\r\nContent-Disposition form-data; name="file"; filename="a"\r\n\r\nx\r\n--${boundary}--\r\n`
    expect(await post(server.url, body, formType)).toMatchObject({ status: 400 })
    await nothingLeft()
  })

  it.each([
    ['no part at all', [] as Parameters<typeof formBody>],
    ['another field only', [{ name: 'note', content: 'text' }]],
    ['an empty file input', [{ name: 'file', filename: '', type: 'application/octet-stream', content: '' }]],
  ])('%s is answered with 400 that says that there is no file', async (_, parts) => {
    options = { field: 'file' }
    const answer = await send(...(parts as Parameters<typeof formBody>))
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'no-file', message: "the form has no file in field 'file'" },
    })
    await nothingLeft()
  })

  it('text in the field of the file is answered with 400 that says so', async () => {
    options = { field: 'file' }
    const answer = await send({ name: 'file', content: 'text' })
    expect(answer).toMatchObject({ status: 400, body: { code: 'no-file' } })
    expect(answer.body.message).toContain("'file' came as text: send a file with a filename")
    await nothingLeft()
  })

  it('a file in another field is answered with 400 that names both', async () => {
    options = { field: 'cv' }
    const answer = await send({ name: 'photo', filename: 'a.png', content: 'x' })
    expect(answer).toMatchObject({ status: 400, body: { code: 'unexpected-field' } })
    expect(answer.body.message).toContain("'photo'")
    expect(answer.body.message).toContain("'cv'")
    await nothingLeft()
  })

  it('an empty file is taken, unless the field refuses it', async () => {
    expect(await send({ name: 'file', filename: 'empty.txt', content: '' })).toMatchObject({
      status: 200,
      body: { size: 0 },
    })
    await world.clear()
    options = { minSizeBytes: 1 }
    const answer = await send({ name: 'file', filename: 'empty.txt', content: '' })
    expect(answer).toMatchObject({ status: 400, body: { code: 'file-too-small' } })
    await nothingLeft()
  })

  it('two files where one is meant are answered with 413, and the first is gone too', async () => {
    const answer = await send(
      { name: 'file', filename: 'a.bin', content: sampleBytes(8 * MiB) },
      { name: 'file', filename: 'b.bin', content: 'x' },
    )
    expect(answer).toMatchObject({ status: 413, body: { code: 'too-many-files' } })
    await nothingLeft()
  })

  it('the files of a form are all gone when a later one is refused', async () => {
    isForm = true
    options = { accept: ['image/*'] }
    const content = Buffer.concat([png, sampleBytes(200_000)])
    const image = { name: 'files', filename: 'a.png', type: 'image/png', content }
    const answer = await send(image, image, { ...image, content: '<!doctype html><script>alert(1)</script>' })
    expect(answer).toMatchObject({ status: 415, body: { code: 'type-not-accepted' } })
    expect(answer.body.message).toBe(
      "file 'a.png' in field 'files' is of type text/html, declared as image/png, and its extension is .png; accepted: image/*",
    )
    await nothingLeft()
  })

  it('a file of exactly the limit passes, one byte more does not', async () => {
    options = { maxSizeBytes: 8 * MiB }
    expect(await send({ name: 'file', filename: 'a.bin', content: sampleBytes(8 * MiB) })).toMatchObject({
      status: 200,
    })
    await world.clear()
    const answer = await send({ name: 'file', filename: 'a.bin', content: sampleBytes(8 * MiB + 1) })
    expect(answer).toMatchObject({ status: 413, body: { code: 'file-too-large' } })
    expect(answer.body.message).toBe("file 'a.bin' in field 'file' is larger than the limit of 8 MiB")
    await nothingLeft()
  })

  it.each([
    ['fields', { limits: { fields: 1 } }, 'too-many-fields'],
    ['parts', { limits: { parts: 2 } }, 'too-many-parts'],
    ["a field's bytes", { limits: { fieldSizeBytes: 9 } }, 'field-too-large'],
    ["all fields' bytes", { limits: { allFieldsSizeBytes: 10 } }, 'field-too-large'],
    ["a name's bytes", { limits: { fieldNameSizeBytes: 3 } }, 'field-too-large'],
    ["the request's bytes", { limits: { requestSizeBytes: 200 } }, 'request-too-large'],
  ] as const)('more than the limit of %s is answered with 413', async (_, limited, code) => {
    options = limited
    const answer = await send(
      { name: 'file', filename: 'a.txt', content: 'x' },
      { name: 'abc', content: '0123456789' },
      { name: 'abcd', content: 'x' },
    )
    expect(answer).toMatchObject({ status: 413, body: { code } })
    await nothingLeft()
  })

  it('just the limits pass', async () => {
    options = {
      limits: {
        fields: 2,
        parts: 3,
        fieldSizeBytes: 10,
        allFieldsSizeBytes: 11,
        fieldNameSizeBytes: 4,
        files: 1,
      },
    }
    const answer = await send(
      { name: 'file', filename: 'a.txt', content: 'x' },
      { name: 'abc', content: '0123456789' },
      { name: 'abcd', content: 'x' },
    )
    expect(answer.status).toBe(200)
  })

  it('a file part without a name but with bytes is stored as "file"', async () => {
    const body = Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: application/octet-stream\r\n\r\nbytes\r\n`,
      ),
      formEnd,
    ])
    expect(await post(server.url, body, formType)).toMatchObject({
      status: 200,
      body: { name: 'file', size: 5 },
    })
    await world.clear()
  })

  it('a compressed body is answered with 415 that says so', async () => {
    const response = await fetch(server.url, {
      method: 'POST',
      body: gzipSync(formBody({ name: 'file', filename: 'a.txt', content: 'x' })),
      headers: { 'content-type': formType, 'content-encoding': 'gzip' },
    })
    expect(response.status).toBe(415)
    expect((await response.json()).message).toContain('gzip')
    await nothingLeft()
  })

  it('a file in base64 is refused rather than stored as it is', async () => {
    const head = partHead({ name: 'file', filename: 'a.txt' })
      .toString()
      .replace('\r\n\r\n', '\r\nContent-Transfer-Encoding: base64\r\n\r\n')
    const answer = await post(server.url, `${head}aGVsbG8=\r\n${formEnd}`, formType)
    expect(answer).toMatchObject({ status: 400, body: { code: 'malformed-body' } })
    await nothingLeft()
  })

  it.each([
    [
      'an unknown option',
      { maxSizeByte: 5 },
      "there is no option 'maxSizeByte'; did you mean 'maxSizeBytes'?",
    ],
    [
      'a value that cannot be',
      { maxSizeBytes: 1.5 },
      "option 'maxSizeBytes' takes an integer of at least 0, not 1.5",
    ],
    ['an unknown storage', { storage: 'archive' }, "there is no storage 'archive'"],
  ])('%s is refused by name', async (_, wrong, message) => {
    options = wrong as UploadRequestOptions
    const answer = await send({ name: 'file', filename: 'a.txt', content: 'x' })
    expect(answer.status).toBe(500)
    expect(answer.body.message).toContain(message)
    expect(await server.outcomes.at(-1)?.catch((error: unknown) => error)).toBeInstanceOf(S3FileError)
    await nothingLeft()
  })
})
