import {
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type Http2ServerRequest,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFormFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import type { UploadProgress } from '../../src/upload/upload-session.ts'
import { setUploadLimits, uploadSlots } from '../../src/upload/upload-slots.ts'
import { formBody, formType, sampleBytes } from '../support/multipart.ts'

const content = sampleBytes(200_000)
const body = formBody({ name: 'file', filename: 'a.bin', content })

let storage: MemoryStorage
let uploading: Promise<unknown> | undefined
let received = 0
const sessions = new Set<ServerHttp2Session>()
const server = createServer((request: Http2ServerRequest, response) => {
  const options = {
    onProgress: ({ receivedBytes }: UploadProgress) => {
      received = receivedBytes
    },
  }
  uploading =
    request.url === '/raw' ? uploadFromStream(request, options) : uploadFormFromRequest(request, options)
  uploading.then(
    () => response.end('stored'),
    () => response.end('refused'),
  )
})

beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
beforeEach(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
  uploading = undefined
  received = 0
})
afterEach(() => {
  configureStorages({})
  setUploadLimits({})
})
server.on('session', (session) => sessions.add(session))
afterAll(() => {
  for (const session of sessions) session.destroy()
  return new Promise((resolve) => server.close(resolve))
})

function open(headers: Record<string, string | number> = {}) {
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  session.on('error', () => undefined)
  const stream = session.request({ ':method': 'POST', 'content-type': formType, ...headers })
  stream.on('error', () => undefined)
  return { session, stream }
}

const ways: Record<string, (stream: ClientHttp2Stream) => void> = {
  'cancels its request': (stream) => stream.close(constants.NGHTTP2_CANCEL),
  'resets its request without an error': (stream) => stream.close(constants.NGHTTP2_NO_ERROR),
  'closes its connection': (stream) => stream.session?.destroy(),
}

describe('a client over HTTP/2', () => {
  it('uploads a file', async () => {
    const { session, stream } = open({ 'content-length': body.length })
    stream.end(body)
    let answer = ''
    for await (const chunk of stream) answer += chunk
    expect(answer).toBe('stored')
    expect([...storage.objects.values()][0]?.bytes.equals(content)).toBe(true)
    session.close()
  })

  it.each(
    Object.entries(ways).flatMap(([how, leave]) => [
      [how, leave, {}] as const,
      [`${how}, whose length is known,`, leave, { 'content-length': body.length }] as const,
    ]),
  )('that %s in the middle of it is gone, and leaves nothing', async (_how, leave, headers) => {
    const { session, stream } = open(headers)
    stream.write(body.subarray(0, 100_000))
    await vi.waitFor(() => expect(received).toBeGreaterThan(10_000))
    leave(stream)
    await expect(uploading).rejects.toMatchObject({ code: 'client-gone', statusCode: 499 })
    expect(storage.objects.size).toBe(0)
    session.destroy()
  })

  it.each(Object.entries(ways))(
    'that %s, whose body is the file, leaves no half of it',
    async (_how, leave) => {
      const { session, stream } = open({ ':path': '/raw' })
      stream.write(content.subarray(0, 100_000))
      await vi.waitFor(() => expect(received).toBeGreaterThan(10_000))
      leave(stream)
      await expect(uploading).rejects.toMatchObject({ code: 'client-gone' })
      expect(storage.objects.size).toBe(0)
      session.destroy()
    },
  )

  it('sends a file as its body', async () => {
    const { session, stream } = open({ ':path': '/raw' })
    stream.end(content)
    expect(await vi.waitUntil(() => uploading)).toMatchObject({ size: content.length })
    session.destroy()
  })

  it('that cancels while it waits in line is gone', async () => {
    setUploadLimits({ concurrent: 1 })
    await uploadSlots.take(new AbortController().signal)
    const { session, stream } = open()
    stream.write(body.subarray(0, 100_000))
    await vi.waitFor(() => expect(uploadSlots.waiting).toBe(1))
    stream.close(constants.NGHTTP2_CANCEL)
    await expect(uploading).rejects.toMatchObject({ code: 'client-gone' })
    uploadSlots.release()
    session.destroy()
  })

  it('that ends its body too early has sent half a form', async () => {
    const { session, stream } = open()
    stream.end(body.subarray(0, 100_000))
    await vi.waitFor(() => expect(uploading).toBeDefined())
    await expect(uploading).rejects.toMatchObject({ code: 'truncated-body', statusCode: 400 })
    session.close()
  })
})
