import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  type AddressInfo,
  createServer as createSocketServer,
  type Socket,
  type Server as SocketServer,
} from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import { UploadError } from '../../src/core/errors.ts'
import { partMemory, setPartMemoryLimit } from '../../src/storage/part-memory.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
  setPartMemoryLimit(128 * MiB)
})

const created = '<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>'

async function portOf(server: Server | SocketServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A store that takes all bytes and answers as it is told, otherwise that all is well. */
async function storeThat(answer: (what: string, response: ServerResponse) => boolean): Promise<number> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume().on('end', () => {
      const { searchParams, pathname } = new URL(request.url as string, 'http://store')
      const query = ['uploads', 'partNumber', 'uploadId'].find((name) => searchParams.has(name)) ?? ''
      if (answer(`${request.method} ${pathname.split('/').at(-1)} ${query}`, response)) return
      response.setHeader('ETag', '"x"')
      response.end(query === 'uploads' ? created : '')
    })
  })
  stops.push(() => server.closeAllConnections())
  return portOf(server)
}

const storageAt = (port: number, partSizeBytes: number) =>
  new S3Storage({
    bucket: 'b',
    partSizeBytes,
    clientConfig: {
      region: 'x',
      endpoint: `http://127.0.0.1:${port}`,
      forcePathStyle: true,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    },
  })

const oneChunk = (bytes: number, byte = 0) =>
  Readable.from([Buffer.alloc(bytes, byte)], { objectMode: false })

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('an upload that is aborted', () => {
  it('in the turn in which it is given memory begins nothing any more', async () => {
    const asked: string[] = []
    let goOn: (() => void) | undefined
    const port = await storeThat((what, response) => {
      asked.push(what)
      if (!what.startsWith('PUT holder')) return false
      goOn = () => response.setHeader('ETag', '"x"').end()
      return true
    })
    setPartMemoryLimit(24 * MiB)
    const holder = storageAt(port, 32 * MiB).put('holder', oneChunk(14 * MiB), {
      isKeyUnique: true,
      atMostBytes: 14 * MiB,
    })
    await until(() => goOn !== undefined)
    const stop = new AbortController()
    const options = { isKeyUnique: true, signal: stop.signal }
    // The first one's leaving gives the second its memory, whose own abort follows in the same turn.
    const uploads = [
      storageAt(port, 12 * MiB).put('big', oneChunk(22 * MiB), options),
      storageAt(port, 5 * MiB).put('small', oneChunk(22 * MiB), options),
    ]
    const ends = Promise.allSettled(uploads)
    await new Promise((resolve) => setTimeout(resolve, 100))
    stop.abort()
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(asked).toEqual(['PUT holder '])
    goOn?.()
    await holder
    expect(partMemory.usedBytes).toBe(0)
  })

  it('hears out the parts that are wholly sent, and then aborts', async () => {
    const asked: string[] = []
    const held: ServerResponse[] = []
    const port = await storeThat((what, response) => {
      asked.push(what)
      if (what.startsWith('PUT')) held.push(response)
      return what.startsWith('PUT')
    })
    const stop = new AbortController()
    const body = new Readable({ read() {} })
    const put = storageAt(port, 5 * MiB).put('k', body, { isKeyUnique: true, signal: stop.signal })
    const end = put.catch((error: unknown) => error)
    for (let pushed = 0; pushed < 11; pushed++) body.push(Buffer.alloc(MiB))
    await until(() => held.length === 2)
    stop.abort(new Error('gone'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(asked.at(-1)).toMatch(/^PUT/)
    for (const response of held) response.setHeader('ETag', '"x"').end()
    expect(await end).toMatchObject({ message: 'gone' })
    expect(asked.filter((what) => what.startsWith('DELETE'))).toEqual(['DELETE k uploadId'])
    expect(partMemory.usedBytes).toBe(0)
  })

  it('cancels a part of which something is not sent, and tells the store twice', async () => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(`${request.method}`)
      if (request.method === 'PUT') return // It reads nothing of it.
      response.end(request.method === 'POST' ? created : '')
    })
    stops.push(() => server.closeAllConnections())
    const stop = new AbortController()
    const options = { isKeyUnique: true, signal: stop.signal }
    const body = new Readable({ read() {} })
    const put = storageAt(await portOf(server), 40 * MiB).put('k', body, options)
    body.push(Buffer.alloc(41 * MiB))
    const end = put.catch((error: unknown) => error)
    await until(() => asked.includes('PUT'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const abortedAt = performance.now()
    stop.abort(new Error('gone'))
    expect(await end).toMatchObject({ message: 'gone' })
    expect(performance.now() - abortedAt).toBeLessThan(2_000)
    expect(asked).toEqual(['POST', 'PUT', 'DELETE', 'DELETE'])
  })

  it.each([
    [
      'names it when the store may bring it back by a part whose answer was lost',
      1,
      ["multipart upload id of 'k'"],
    ],
    ['names nothing when all answers came', 0, undefined],
  ])('aborts its multipart upload, and %s', async (_what, lost, mayBeLeft) => {
    let parts = 0
    const port = await storeThat((what, response) => {
      if (!what.startsWith('PUT') || ++parts > lost) return false
      response.socket?.destroy()
      return true
    })
    const body = new Readable({ read() {} })
    const put = storageAt(port, 5 * MiB).put('k', body, { isKeyUnique: true })
    const end = put.catch((error: unknown) => error)
    for (let pushed = 0; pushed < 11; pushed++) body.push(Buffer.alloc(MiB))
    await until(() => parts === 2 + lost)
    await new Promise((resolve) => setTimeout(resolve, 50))
    body.destroy(new UploadError('client-gone', 'gone'))
    const { context } = (await end) as UploadError
    expect(context.mayBeLeft).toEqual(mayBeLeft)
    expect(context).not.toHaveProperty('leftBehind')
  })

  it('gives its memory back before the store has answered its clean-up', async () => {
    let goOn: (() => void) | undefined
    const port = await storeThat((what, response) => {
      if (!what.startsWith('DELETE')) return false
      const before = goOn
      goOn = () => {
        before?.()
        response.writeHead(204).end()
      }
      return before === undefined
    })
    const stop = new AbortController()
    const body = new Readable({ read() {} })
    const put = storageAt(port, 8 * MiB).put('k', body, { isKeyUnique: true, signal: stop.signal })
    const end = put.catch((error: unknown) => error)
    for (let pushed = 0; pushed < 15; pushed++) body.push(Buffer.alloc(MiB))
    await until(() => partMemory.usedBytes === 7 * MiB) // The first part is stored.
    stop.abort(new Error('gone'))
    await until(() => goOn !== undefined)
    expect(partMemory.usedBytes).toBe(0)
    goOn?.()
    expect(await end).toMatchObject({ message: 'gone' })
  })
})

describe('a store that answers before it has read a body', () => {
  it('gets no byte of another upload, and its connection ends', async () => {
    let early: Socket | undefined
    let foreign = 0
    const hasty = createSocketServer((socket) => {
      socket.on('error', () => undefined)
      stops.push(() => socket.destroy())
      let head = ''
      let isAnswered = false
      socket.on('data', (chunk) => {
        if (socket === early) {
          foreign += chunk.includes('B'.repeat(64)) ? chunk.length : 0
          return
        }
        head += chunk.toString('latin1')
        if (isAnswered || !head.includes('\r\n\r\n')) return
        if (early === undefined) {
          early = socket
          socket.pause()
          socket.write('HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n')
          return
        }
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
        if (head.length < length) return
        isAnswered = true
        socket.write('HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')
      })
    })
    const first = storageAt(await portOf(hasty), 40 * MiB)
    const second = storageAt(await storeThat(() => false), 40 * MiB)
    await first.put('k', oneChunk(16 * MiB, 0x41), { isKeyUnique: true })
    await second.put('k', oneChunk(16 * MiB, 0x42), { isKeyUnique: true })
    const closed = new Promise((resolve) => early?.once('close', resolve))
    early?.resume()
    await closed
    expect(foreign).toBe(0)
  })
})
