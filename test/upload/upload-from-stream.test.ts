import { createReadStream } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { ReadableStream } from 'node:stream/web'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { type StreamSource, uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import type { UploadProgress } from '../../src/upload/upload-session.ts'
import { RawRequest, startServer } from '../support/http-server.ts'
import { SilentJournal } from '../support/silent-journal.ts'

let storage: MemoryStorage
beforeEach(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
})
afterEach(() => configureStorages({}))

function failingAfter(first: string, error: Error): Readable {
  return Readable.from(
    (function* () {
      yield Buffer.from(first)
      throw error
    })(),
    { objectMode: false },
  )
}

describe('uploadFromStream', () => {
  it.each<[string, () => StreamSource]>([
    ['a stream', () => Readable.from([Buffer.from('some '), Buffer.from('bytes')])],
    ['a web stream', () => new Blob(['some ', 'bytes']).stream() as StreamSource],
    ['bytes', () => new TextEncoder().encode('some bytes')],
    ['a Blob', () => new Blob(['some bytes'])],
    [
      'a generator',
      async function* () {
        yield Buffer.from('some ')
        yield Buffer.from('bytes')
      },
    ],
  ])('stores %s and gives the file', async (_kind, source) => {
    const file = await uploadFromStream(source(), { name: 'Résumé.PDF', contentType: 'Application/PDF' })
    expect(file.toJSON()).toEqual({ name: 'Résumé.PDF', size: 10, contentType: 'text/plain' })
    expect(file.key).toMatch(/^[\w-]{22}\/Resume\.pdf$/)
    expect(await text(await file.stream())).toBe('some bytes')
  })

  it.each<[string, () => StreamSource]>([
    ['bytes', () => new Uint8Array()],
    ['a Blob', () => new Blob([])],
    ['a stream', () => Readable.from([])],
  ])('stores %s of no length as an empty file', async (_kind, source) => {
    expect((await uploadFromStream(source())).size).toBe(0)
  })

  it("takes a File's own name and type, unless others are given", async () => {
    const source = new File(['x'], 'own.txt', { type: 'text/plain' })
    expect(await uploadFromStream(source)).toMatchObject({ name: 'own.txt', contentType: 'text/plain' })
    expect(await uploadFromStream(source, { name: 'b.csv', contentType: 'text/csv' })).toMatchObject({
      name: 'b.csv',
      contentType: 'text/csv',
    })
  })

  it.each(['report.pdf', 5])(
    "takes no stream's property 'name' for a file's name, such as %j",
    async (name) => {
      const source = Object.assign(Readable.from([Buffer.from('x')]), { name })
      expect((await uploadFromStream(source)).name).toBe('file')
    },
  )

  it('says how far it is', async () => {
    const progress: UploadProgress[] = []
    await uploadFromStream(Buffer.from('bytes'), { onProgress: (each) => progress.push(each) })
    expect(progress.at(-1)).toEqual({ receivedBytes: 5, storedBytes: 5, totalBytes: 5 })
  })

  it.each([
    ['a source that has more bytes than was said', { sizeBytes: 4 }, 'size-mismatch'],
    ['a source that has fewer', { sizeBytes: 6 }, 'size-mismatch'],
    ['a file that is too large', { maxSizeBytes: 4 }, 'file-too-large'],
    ['a file that is too small', { minSizeBytes: 6 }, 'file-too-small'],
    ['a type that is not accepted', { accept: ['image/*'] }, 'type-not-accepted'],
  ])('refuses %s and leaves nothing', async (_what, options, code) => {
    const source = Readable.from([Buffer.from('by'), Buffer.from('tes')])
    await expect(uploadFromStream(source, options)).rejects.toMatchObject({ name: 'UploadError', code })
    expect(storage.objects.size).toBe(0)
    expect(source.destroyed).toBe(true)
  })

  it('leaves nothing of a source that fails, and keeps its error as the cause', async () => {
    const cause = new Error('disk gone')
    await expect(uploadFromStream(failingAfter('some', cause))).rejects.toMatchObject({
      code: 'source-failed',
      cause,
    })
    expect(storage.objects.size).toBe(0)
  })

  it.each([
    ['before it is read', true],
    ['midway', false],
  ])('leaves nothing of a source that is closed %s', async (_when, isBefore) => {
    const source = new PassThrough()
    source.write('some')
    if (isBefore) source.destroy()
    const upload = uploadFromStream(source, { onProgress: () => source.destroy() })
    await expect(upload).rejects.toMatchObject({ code: 'source-failed', statusCode: 500 })
    expect(storage.objects.size).toBe(0)
  })

  it.each([
    ['before it began', true],
    ['while it ran', false],
  ])('leaves nothing when it is aborted %s', async (_when, isBefore) => {
    const abort = new AbortController()
    const reason = new Error('user left')
    const source = new PassThrough()
    source.write('some')
    if (isBefore) abort.abort(reason)
    const upload = uploadFromStream(source, { signal: abort.signal, onProgress: () => abort.abort(reason) })
    await expect(upload).rejects.toMatchObject({ code: 'upload-aborted', statusCode: 499, cause: reason })
    expect(storage.objects.size).toBe(0)
    expect(source.destroyed).toBe(true)
  })

  it('names a file that is not there as the failure of its source, and not as a mistake of a client', async () => {
    const source = createReadStream('/nowhere/report.pdf')
    await expect(uploadFromStream(source)).rejects.toMatchObject({
      code: 'source-failed',
      statusCode: 500,
      cause: { code: 'ENOENT' },
    })
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('progress'))],
    [
      'throws',
      () => {
        throw new Error('progress')
      },
    ],
  ])('ends with the own error of an onProgress that %s', async (_how, onProgress) => {
    const source = Readable.from([Buffer.alloc(5000), Buffer.alloc(5000)])
    const upload = uploadFromStream(source, { onProgress: onProgress as () => void })
    await expect(upload).rejects.toThrow(/^progress$/)
    expect(storage.objects.size).toBe(0)
  })

  it.each<[string, unknown]>([
    ['a list of numbers', [1, 2]],
    ['a list with null', [Buffer.from('x'), null]],
    ['a list with an object', [{ a: 1 }]],
    ['a generator of numbers', Readable.from([Buffer.from('x'), 7])],
    ['a web stream of objects', new ReadableStream({ start: (to) => to.enqueue({}) })],
    [
      'a web stream with null',
      new ReadableStream({
        start: (to) => {
          to.enqueue(Buffer.from('x'))
          to.enqueue(null)
          to.close()
        },
      }),
    ],
  ])('refuses %s: its chunks are no bytes', async (_what, source) => {
    await expect(uploadFromStream(source as StreamSource)).rejects.toMatchObject({
      name: 'ConfigurationError',
      code: 'invalid-value',
      message: expect.stringContaining('a chunk is a Buffer'),
    })
    expect(storage.objects.size).toBe(0)
  })

  it('says of a text how to give it', async () => {
    await expect(uploadFromStream('text' as never)).rejects.toThrow(/Buffer\.from\(text\)/)
  })

  it('says of a request whose body is the file that its client is gone', async () => {
    const server = await startServer((request) => uploadFromStream(request))
    const request = await RawRequest.open(server.port, { 'content-length': 100_000 })
    await request.send(Buffer.alloc(50_000))
    await vi.waitFor(() => expect(server.outcomes).toHaveLength(1))
    request.socket.destroy()
    await expect(server.outcomes[0]).rejects.toMatchObject({ code: 'client-gone', statusCode: 499 })
    await server.stop()
  })

  it('refuses a source that has been read', async () => {
    const source = Readable.from([Buffer.from('x')], { objectMode: false })
    await text(source)
    await expect(uploadFromStream(source)).rejects.toMatchObject({ code: 'body-consumed' })
  })

  it('refuses a web stream that somebody is reading', async () => {
    const source = new Blob(['x']).stream() as ReadableStream
    source.getReader()
    await expect(uploadFromStream(source)).rejects.toMatchObject({ code: 'body-consumed' })
    expect(storage.objects.size).toBe(0)
  })

  it('refuses a source of text, whose bytes are anybody’s guess', async () => {
    const source = Readable.from([Buffer.from('x')], { objectMode: false }).setEncoding('latin1')
    await expect(uploadFromStream(source)).rejects.toMatchObject({ code: 'invalid-value' })
  })

  it.each(['http://127.0.0.1/', 'file:///etc/passwd', '/etc/passwd', new URL('http://127.0.0.1/')])(
    'takes no address for a source, such as %s',
    async (source) => {
      const refused = expect(uploadFromStream(source as unknown as StreamSource)).rejects
      await refused.toMatchObject({ code: 'invalid-value' })
      expect(storage.objects.size).toBe(0)
    },
  )

  it.each([undefined, null, 'text', 7, {}, new ArrayBuffer(1)])('refuses %o as a source', async (source) => {
    await expect(uploadFromStream(source as never)).rejects.toMatchObject({ name: 'ConfigurationError' })
  })

  it.each([
    [{ filename: 'a' }, "did you mean 'name'?"],
    [{ sizeBytes: -1 }, 'an integer of at least 0'],
    [{ signal: {} }, 'an AbortSignal'],
  ])('refuses the options %j', async (options, message) => {
    await expect(uploadFromStream(Buffer.from('x'), options as never)).rejects.toThrow(message)
  })
})

it('does not wait for ever for a journal that does not take its entry back', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const journal = new SilentJournal('close')
    const upload = uploadFromStream(failingAfter('a'.repeat(5000), new Error('gone')), { journal })
    const failure = upload.catch((error: unknown) => error)
    await vi.waitUntil(() => journal.isAsked)
    vi.advanceTimersByTime(5_000)
    expect(await failure).toMatchObject({ code: 'source-failed' })
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
