import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { S3FileError } from '../../src/core/errors.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { partMemory } from '../../src/storage/part-memory.ts'
import { S3Bucket } from '../../src/storage/s3-bucket.ts'
import { copyInParts } from '../../src/storage/s3-copy.ts'
import type { S3Storage } from '../../src/storage/s3-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import type { FaultKind, Operation } from '../support/chaos-proxy.ts'
import { failureOf } from '../support/error-of.ts'
import { sampleBytes } from '../support/multipart.ts'
import { OpenEntries } from '../support/open-entries.ts'
import { S3World } from '../support/s3-world.ts'

const MiB = 1024 * 1024

let world: S3World
let storage: S3Storage

beforeAll(async () => {
  world = await S3World.start()
})
beforeEach(() => {
  // A client that has failed often makes no second try for a while.
  storage = world.newStorage()
  configureStorages({ default: storage })
})
afterEach(() => world.clear())
afterAll(() => world.stop())

const upload = (length: number, journal = new OpenEntries()) =>
  uploadFromStream(sampleBytes(length), { name: 'x.bin', journal })

const writes: [Operation, number][] = [
  ['PutObject', 1000],
  ['CreateMultipartUpload', 8 * MiB],
  ['UploadPart', 12 * MiB],
  ['CompleteMultipartUpload', 8 * MiB],
]

const faults: [FaultKind, Operation, number][] = [
  ...(['page', 'json', 'pageInstead'] as const).flatMap((kind) =>
    writes.map(([on, length]): [FaultKind, Operation, number] => [kind, on, length]),
  ),
  ['pageWithEtag', 'PutObject', 1000],
  ['pageWithEtag', 'UploadPart', 12 * MiB],
  ['noEtag', 'PutObject', 1000],
  ['noEtag', 'UploadPart', 12 * MiB],
]

describe('a write that is answered with 200 by what is not S3', () => {
  it.each(faults)('is sent again, and the file is whole: %s at %s', async (kind, on, length) => {
    const isUnheard = kind === 'pageInstead' && on === 'CreateMultipartUpload'
    world.proxy.inject({ on, kind })
    const file = await upload(length)
    expect((await file.bytes()).equals(sampleBytes(length))).toBe(true)
    expect(file.etag).not.toBe('5f3-62a1')
    expect(await world.keys()).toHaveLength(1)
    // The embedded server does not say which uploads are open.
    if (!isUnheard || S3World.abilities.listsUploads) expect(await world.openUploads()).toEqual([])
  })

  it.each(faults)('never makes a file when that goes on: %s at %s', async (kind, on, length) => {
    const journal = new OpenEntries()
    world.proxy.inject({ on, kind, times: 100 })
    const result = await upload(length, journal).catch((error: unknown) => error as S3FileError)
    world.proxy.reset()
    if ('key' in result) {
      // It has asked the store by another request, and the file is there.
      expect((await result.bytes()).equals(sampleBytes(length))).toBe(true)
      return
    }
    expect(result).toMatchObject({
      name: 'StorageError',
      code: 'storage-failed',
      context: { operation: on, bucket: S3World.server.bucket },
    })
    expect(result.message).toMatch(/the answer \(200, [\w/ ]+\) .*, so it is not from S3/)
    expect(await world.keys()).toEqual([])
    if (kind !== 'pageInstead') expect(await world.openUploads()).toEqual([])
    expect(partMemory.usedBytes).toBe(0)
    // What stands before the store may have hidden its answer: the janitor has a look.
    expect([...journal.keys]).toHaveLength(1)
  })

  it('is named as left behind when the requests that take it back are answered so, too', async () => {
    const journal = new OpenEntries()
    world.proxy.inject(
      { on: 'PutObject', kind: 'noEtag', times: 100 },
      { on: 'HeadObject', kind: 'page', times: 100 },
      { on: 'DeleteObject', kind: 'page', times: 100 },
    )
    const { context } = await failureOf(upload(1000, journal))
    const [key] = journal.keys
    expect(context.leftBehind).toEqual([`object '${key}'`])
    world.proxy.reset()
    expect(await world.keys()).toHaveLength(1)

    world.proxy.inject(
      { on: 'UploadPart', kind: 'page', times: 100 },
      { on: 'AbortMultipartUpload', kind: 'page', times: 100 },
    )
    const failure = await failureOf(upload(8 * MiB, journal))
    expect(failure.context.leftBehind).toEqual([expect.stringMatching(/^multipart upload \S+ of '/)])
    expect(journal.keys.size).toBe(2)
  })
})

type Work = (storage: S3Storage, key: string) => Promise<unknown>

const all = async (items: AsyncIterable<unknown>) => {
  for await (const _ of items);
}

describe('a page of HTML in place of an answer', () => {
  const works: [Operation, FaultKind, Work][] = [
    ['DeleteObject', 'page', (storage, key) => storage.delete(key)],
    ['DeleteObject', 'notFoundPage', (storage, key) => storage.delete(key)],
    ['AbortMultipartUpload', 'page', (storage, key) => storage.abortUpload(key, 'id')],
    ['HeadObject', 'page', (storage, key) => storage.stat(key)],
    ['GetObject', 'page', async (storage, key) => buffer(await storage.open(key))],
    ['GetObject', 'notFoundPage', (storage, key) => storage.open(key)],
    ['GetObject', 'pageWithEtag', (storage, key) => storage.open(key, { start: 1, end: 2 })],
    ['ListObjectsV2', 'page', (storage) => all(storage.list())],
    ['ListObjectsV2', 'json', (storage) => all(storage.list())],
    ['ListMultipartUploads', 'page', (storage) => all(storage.listUploads())],
    ['CopyObject', 'page', (storage, key) => storage.copy(key, `${key}.copy`)],
    ['CopyObject', 'json', (storage, key) => storage.copy(key, `${key}.copy`)],
  ]

  it.each(works)('to %s is an error (%s), whatever is asked for', async (on, kind, work) => {
    const { key } = await upload(1000)
    world.proxy.inject({ on, kind, times: 100 })
    expect(await failureOf(work(storage, key))).toMatchObject({
      code: 'storage-failed',
      context: { operation: on },
      message: expect.stringContaining('so it is not from S3'),
    })
    expect(world.proxy.countOf(on)).toBeGreaterThan(1)
    world.proxy.reset()
    expect(await world.keys()).toEqual([key.slice(world.prefix.length)])
  })

  it.each(works)('to %s that comes once is asked again (%s)', async (on, kind, work) => {
    const { key } = await upload(1000)
    world.proxy.inject({ on, kind })
    // The multipart upload is none, which is no error.
    await work(storage, key)
    expect(world.proxy.countOf(on)).toBe(2)
  })

  it.each<FaultKind>(['page', 'json'])('to DeleteObjects deletes nothing (%s)', async (kind) => {
    const { key } = await upload(1000)
    world.proxy.inject({ on: 'DeleteObjects', kind, times: 100 })
    const [failure, ...others] = await storage.deleteMany([key])
    expect(failure).toMatchObject({ key, error: { code: 'storage-failed' } })
    expect(others).toEqual([])
    world.proxy.reset()
    expect(await world.keys()).toHaveLength(1)
  })

  it.each<Operation>(['UploadPartCopy', 'CompleteMultipartUpload'])(
    'to %s fails the copy of a large object, and its upload is aborted',
    async (on) => {
      const { key } = await upload(12 * MiB)
      const bucket = new S3Bucket(world.client, S3World.server.bucket, {
        requestTimeoutSeconds: 60,
        unsignedPayload: 'tls',
        ownsClient: false,
      })
      world.proxy.inject({ on, kind: 'page', times: 100 })
      const source = (await storage.stat(key)) as never
      const copied = copyInParts(bucket, key, `${key}.copy`, source, 5 * MiB)
      expect(await failureOf(copied)).toMatchObject({ code: 'storage-failed', context: { operation: on } })
      world.proxy.reset()
      expect(await world.openUploads()).toEqual([])
      expect(await world.keys()).toHaveLength(1)
    },
  )

  it('is not repeated in the error, which may be logged', async () => {
    world.proxy.inject({ on: 'ListObjectsV2', kind: 'page', times: 100 })
    const { message, cause } = await failureOf(all(storage.list()))
    expect(`${message} ${(cause as Error).message} ${(cause as Error).stack}`).not.toContain('We are back')
  })

  it('is content like any other in an object', async () => {
    const html = Buffer.from('<!doctype html><html><title>Mine</title></html>')
    const key = `${world.prefix}page.html`
    await storage.put(key, Readable.from([html], { objectMode: false }), { contentType: 'text/html' })
    expect(await buffer(await storage.open(key))).toEqual(html)
    expect(await storage.stat(key)).toMatchObject({ size: html.length, contentType: 'text/html' })
  })
})
