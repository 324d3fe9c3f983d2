import { beforeAll, describe, expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { post, startServer } from '../support/http-server.ts'
import { formBody, formType } from '../support/multipart.ts'

let storage: MemoryStorage
beforeAll(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
})

describe('a web Request', () => {
  const webRequest = (body: BodyInit | null, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    new Request('http://localhost/upload?__prefix=a/b', {
      method: 'POST',
      body,
      headers,
      duplex: 'half',
      ...(signal === undefined ? {} : { signal }),
    } as RequestInit)

  it('uploads a FormData body, and a Hono context is taken for its request', async () => {
    const form = new FormData()
    form.set('file', new File(['from the web'], 'web.txt', { type: 'text/plain' }))
    const file = await uploadFromRequest({ req: { raw: webRequest(form) } })
    expect(file).toMatchObject({ name: 'web.txt', size: 12, contentType: 'text/plain' })
    expect((await file.bytes()).toString()).toBe('from the web')
  })

  it('takes the prefix from the query of its URL', async () => {
    const form = new FormData()
    form.set('file', new File(['x'], 'x.txt'))
    const options = { prefixQueryParam: { name: '__prefix', allow: ['a/b'] }, keyPrefix: 'root' }
    expect((await uploadFromRequest(webRequest(form), options)).key).toMatch(
      /^root\/a\/b\/[\w-]{22}\/x\.txt$/,
    )
  })

  it.each([
    ['no body', null, 'truncated-body'],
    [
      'a body that ends early',
      formBody({ name: 'file', filename: 'x', content: 'x' }).subarray(0, 100),
      'truncated-body',
    ],
  ])('with %s is refused', async (_, body, code) => {
    const uploading = uploadFromRequest(webRequest(body as never, { 'content-type': formType }))
    await expect(uploading).rejects.toSatisfy((error) => isS3FileError(error, code as never))
  })

  it('whose body is cut and ended as if it were whole is found out by its length', async () => {
    const before = storage.objects.size
    const form = formBody({ name: 'file', filename: 'x.txt', content: 'x' })
    const headers = { 'content-type': formType, 'content-length': '1000000' }
    const uploading = uploadFromRequest(webRequest(form as never, headers))
    await expect(uploading).rejects.toSatisfy((error) => isS3FileError(error, 'truncated-body'))
    expect(storage.objects.size).toBe(before)
  })

  it('that was read already says so', async () => {
    const request = webRequest('text', { 'content-type': formType })
    await request.text()
    await expect(uploadFromRequest(request)).rejects.toThrow(/body has already been read/)
  })

  it('whose client goes ends the upload', async () => {
    const gone = new AbortController()
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(formBody({ name: 'file', filename: 'x', content: 'x' }).subarray(0, 120))
        setTimeout(() => gone.abort(), 20)
      },
    })
    const uploading = uploadFromRequest(webRequest(body, { 'content-type': formType }, gone.signal))
    await expect(uploading).rejects.toSatisfy((error) => isS3FileError(error, 'client-gone'))
  })
})

it('a body that was read before is taken from rawBody, where cloud functions leave it', async () => {
  const server = await startServer(async (request) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    return uploadFromRequest(Object.assign(request, { rawBody: Buffer.concat(chunks) }))
  })
  const answer = await post(
    server.url,
    formBody({ name: 'file', filename: 'cloud.txt', content: 'x' }),
    formType,
  )
  await server.stop()
  expect(answer).toMatchObject({ status: 200, body: { name: 'cloud.txt' } })
})
