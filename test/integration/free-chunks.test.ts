import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import type { S3Storage } from '../../src/storage/s3-storage.ts'
import { MemoryStorage } from '../../src/testing.ts'
import { type UploadRequestOptions, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { post, startServer, type TestServer } from '../support/http-server.ts'
import { formBody, formType, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

const MiB = 1024 * 1024
const content = sampleBytes(12 * MiB)
const form = formBody({ name: 'file', filename: 'x.bin', content })

let world: S3World
let server: TestServer
/** The chunks of the last request to the server. */
let chunks: Buffer[] = []
/** Does something with a request that is going to be uploaded. */
let before: (request: IncomingMessage) => void = () => undefined
/** Does something with a request that is being uploaded. */
let meanwhile: (request: IncomingMessage) => void = () => undefined
let options: UploadRequestOptions = {}

beforeAll(async () => {
  keepChunks()
  world = await S3World.start()
  server = await startServer(async (request) => {
    chunks = []
    before(request)
    const uploading = uploadFromRequest(request, options)
    meanwhile(request)
    const file = await uploading
    return { isWhole: (await file.bytes()).equals(content) }
  })
})
afterEach(async () => {
  before = () => undefined
  meanwhile = () => undefined
  options = {}
  configureStorages({ default: world.storage })
  await world.clear()
})
afterAll(async () => {
  await server.stop()
  await world.stop()
})

/** Keeps the chunks of all requests, without being seen. */
function keepChunks(): void {
  const { emit } = IncomingMessage.prototype
  IncomingMessage.prototype.emit = function (name: string | symbol, ...args: unknown[]) {
    if (name === 'data' && this.url === '/') chunks.push(args[0] as Buffer) // Those to S3 have a path.
    return emit.call(this, name, ...args)
  }
}

/** Not before the upload listens: who does that first gets the first bytes alone. */
function afterUpload(act: (request: IncomingMessage) => void): typeof meanwhile {
  return (request) => request.once('newListener', () => queueMicrotask(() => act(request)))
}

const upload = async () => (await post(server.url, form, formType)).body

/** The storage with another way to store. */
function storageThat(storage: S3Storage, put: S3Storage['put']): S3Storage {
  return new Proxy(storage, {
    get: (target, name) => {
      const value = name === 'put' ? put : Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('the memory of a chunk that was copied', () => {
  const canFree = typeof ArrayBuffer.prototype.transfer === 'function'

  it.runIf(canFree)('is given back at once', async () => {
    expect(await upload()).toEqual({ isWhole: true })
    const kept = chunks.reduce((sum, { length }) => sum + length, 0)
    expect(kept).toBeLessThan(form.length / 4) // What shares its memory with a boundary or a header, for instance.
  })

  it.each<[string, () => void]>([
    [
      'somebody else listens to the request',
      () => {
        meanwhile = afterUpload((request) => request.on('data', () => undefined))
      },
    ],
    [
      'somebody else has listened, and gone',
      () => {
        meanwhile = afterUpload((request) => {
          let count = 0
          const onData = () => ++count === 3 && request.off('data', onData)
          request.prependListener('data', onData)
        })
      },
    ],
    [
      'somebody else waits for what is readable',
      () => {
        meanwhile = afterUpload((request) => request.on('readable', () => request.read()))
      },
    ],
    [
      'the request is patched',
      () => {
        const { push } = IncomingMessage.prototype
        before = (request) => {
          request.push = (chunk) => push.call(request, chunk)
        }
      },
    ],
    [
      'an inspector may keep it',
      () => {
        options = { inspect: () => ({ write: () => undefined, end: () => undefined }) }
      },
    ],
    ['the storage keeps it', () => configureStorages({ default: new MemoryStorage() })],
  ])('is left when %s', async (_who, arrange) => {
    arrange()
    expect(await upload()).toEqual({ isWhole: true })
    expect(Buffer.concat(chunks).equals(form)).toBe(true)
  })

  it('is left when a storage of the application has passed it to two', async () => {
    const { storage } = world
    const mirror = storageThat(storage, async (key, body, putOptions) => {
      const [stored] = await Promise.all([
        storage.put(key, body.pipe(new PassThrough()), putOptions),
        storage.put(`${key}-mirror`, body.pipe(new PassThrough()), putOptions),
      ])
      return stored
    })
    configureStorages({ default: mirror })
    expect(await upload()).toEqual({ isWhole: true })
    const keys = (await world.keys()).sort()
    expect(keys).toEqual([keys[0], `${keys[0]}-mirror`])
    const copy = await storage.open(`${world.prefix}${keys[1]}`)
    expect((await buffer(copy)).equals(content)).toBe(true)
  })

  it.each([
    ['listens too', Number.POSITIVE_INFINITY],
    ['has listened for a while', MiB],
  ])('is left when a storage of the application %s', async (_how, wanted) => {
    const { storage } = world
    const kept: Buffer[] = []
    let length = 0
    const listening = storageThat(storage, (key, body, putOptions) => {
      const stored = storage.put(key, body, putOptions)
      const onData = (chunk: Buffer) => {
        kept.push(chunk)
        length += chunk.length
        if (length > wanted) body.off('data', onData)
      }
      body.on('data', onData)
      return stored
    })
    configureStorages({ default: listening })
    expect(await upload()).toEqual({ isWhole: true })
    expect(length).toBeGreaterThan(MiB)
    expect(Buffer.concat(kept).equals(content.subarray(0, length))).toBe(true)
  })

  it("is left when it is the application's: of a request that Node's server has not made", async () => {
    const request = new IncomingMessage(new Socket())
    request.headers = { 'content-type': formType, 'content-length': String(form.length) }
    const mine: Buffer[] = []
    for (let at = 0; at < form.length; at += 65_536) {
      mine.push(Buffer.from(Uint8Array.from(form.subarray(at, at + 65_536)).buffer))
    }
    for (const chunk of [...mine, null]) request.push(chunk)
    const file = await uploadFromRequest(request)
    expect((await file.bytes()).equals(content)).toBe(true)
    expect(Buffer.concat(mine).equals(form)).toBe(true)
  })
})
