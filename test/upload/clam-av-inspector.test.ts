import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { clamAvInspector } from '../../src/upload/clam-av-inspector.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'

let storage: MemoryStorage
let server: Server
let folder: string
let socketPath: string
/** What the last client has sent. */
let received: Buffer
let sockets: Set<Socket>
/** What the server does when bytes have come. */
let onData: (socket: Socket) => void

const end = Buffer.alloc(4)
const answerAtEnd = (answer: string) => (socket: Socket) => {
  if (received.subarray(-4).equals(end)) socket.end(answer)
}

beforeEach(async () => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
  folder = mkdtempSync(join(tmpdir(), 'clam-'))
  socketPath = join(folder, 's')
  received = Buffer.alloc(0)
  sockets = new Set()
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes])
      onData(socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true })
  configureStorages({})
})

const upload = (chunks: string[], options = {}) =>
  uploadFromStream(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), {
    name: 'a.txt',
    inspect: clamAvInspector({ socketPath, timeoutSeconds: 1, ...options }),
  })

describe('clamAvInspector', () => {
  it('sends the file as clamd wants it, and an empty chunk only at the end', async () => {
    onData = answerAtEnd('stream: OK\0')
    expect((await upload(['abc', '', 'defg'])).size).toBe(7)
    expect(received.toString('latin1')).toBe('zINSTREAM\0\0\0\0\x03abc\0\0\0\x04defg\0\0\0\0')
    await vi.waitFor(() => expect(sockets.size).toBe(0))
  })

  it('refuses what clamd finds something in, and names it', async () => {
    onData = answerAtEnd('stream: Win.Test.EICAR_HDB-1 FOUND\0')
    await expect(upload(['x'])).rejects.toMatchObject({
      code: 'rejected-by-inspector',
      context: { name: 'a.txt', signature: 'Win.Test.EICAR_HDB-1' },
    })
    expect(storage.objects.size).toBe(0)
    await vi.waitFor(() => expect(sockets.size).toBe(0))
  })

  it.each([
    ['an error', 'stream: Can’t allocate memory ERROR\0'],
    ['nothing', ''],
    ['half an answer', 'stream: OK'],
    ['an empty answer', '\0'],
    ['another answer', 'PONG\0'],
    ['more than the answer', 'stream: OK\0 and more'],
    ['something that ends like the answer', 'not stream: OK\0'],
    ['two lines', 'stream: OK\nstream: x FOUND\0'],
  ])('keeps a file out when the answer is %s', async (_what, answer) => {
    onData = answerAtEnd(answer)
    await expect(upload(['x'])).rejects.toMatchObject({ code: 'inspector-failed', statusCode: 503 })
    expect(storage.objects.size).toBe(0)
    await vi.waitFor(() => expect(sockets.size).toBe(0))
  })

  it('keeps a file out that clamd calls clean before it has come to its end', async () => {
    onData = (socket) => socket.write('stream: OK\0')
    const source = async function* () {
      yield Buffer.alloc(10_000)
      await vi.waitFor(() => expect(received.length).toBeGreaterThan(10_000))
      await new Promise((resolve) => setTimeout(resolve, 20))
      yield Buffer.from('more')
    }
    await expect(
      uploadFromStream(source(), { inspect: clamAvInspector({ socketPath }) }),
    ).rejects.toMatchObject({ code: 'inspector-failed', message: expect.stringContaining('before the end') })
    expect(storage.objects.size).toBe(0)
  })

  it.each([
    ['at once', ['x']],
    ['before the file has come', ['x'.repeat(3_000_000), 'y'.repeat(3_000_000)]],
  ])('keeps a file out when clamd goes away %s', async (_when, chunks) => {
    onData = (socket) => socket.destroy()
    await expect(upload(chunks)).rejects.toMatchObject({ code: 'inspector-failed' })
    expect(storage.objects.size).toBe(0)
  })

  it.each([
    ['does not answer', ['x']],
    ['does not read', ['x'.repeat(3_000_000), 'y'.repeat(3_000_000)]],
  ])('keeps a file out, and no connection, when clamd %s', async (_what, chunks) => {
    onData = (socket) => socket.pause()
    await expect(upload(chunks)).rejects.toMatchObject({
      code: 'inspector-failed',
      message: expect.stringContaining('clamd has not gone on for 1 s'),
    })
    onData = () => undefined
    for (const socket of sockets) socket.resume()
    await vi.waitFor(() => expect(sockets.size).toBe(0))
  })

  it('leaves clamd alone when the upload is aborted', async () => {
    onData = () => undefined
    const abort = new AbortController()
    const uploading = uploadFromStream(Buffer.from('x'), {
      inspect: clamAvInspector({ socketPath }),
      signal: abort.signal,
    })
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(10))
    abort.abort()
    await expect(uploading).rejects.toMatchObject({ code: 'upload-aborted' })
    await vi.waitFor(() => expect(sockets.size).toBe(0))
  })

  it('stores nothing when there is no clamd', async () => {
    await expect(upload(['x'], { socketPath: join(folder, 'nobody') })).rejects.toMatchObject({
      code: 'inspector-failed',
      cause: expect.objectContaining({ code: 'ENOENT' }),
    })
  })

  it.each([
    [{ prot: 3310 }, "did you mean 'port'?"],
    [{ port: 0 }, 'an integer from 1 to 65535'],
    [{ timeoutSeconds: 0 }, 'an integer from 1 to 3600'],
    [{ maxStreamBytes: 2 ** 32 }, 'an integer from 1 to 4294967295'],
    [{ socketPath: '/x', port: 3310 }, "'socketPath' or 'host' and 'port', not both"],
  ])('cannot be made of %j', (options, message) => {
    expect(() => clamAvInspector(options as never)).toThrow(message)
  })
})
