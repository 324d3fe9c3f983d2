import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { S3Client } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isS3FileError, type S3FileError } from '../../src/core/errors.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { partMemory } from '../../src/storage/part-memory.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import { type UploadRequestOptions, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import type { FaultKind, Operation } from '../support/chaos-proxy.ts'
import { holdPartMemory } from '../support/held-memory.ts'
import { post, RawRequest, startServer, type TestServer } from '../support/http-server.ts'
import { formBody, formType, partHead, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { s3ClientConfig } from '../support/servers.ts'
import { SilentJournal } from '../support/silent-journal.ts'

const MiB = 1024 * 1024

let world: S3World
let server: TestServer
let options: UploadRequestOptions = {}

beforeAll(async () => {
  world = await S3World.start()
  server = await startServer((request) => uploadFromRequest(request, options))
})
afterEach(async () => {
  options = {}
  configureStorages({ default: world.storage })
  await world.clear()
})
afterAll(async () => {
  await server.stop()
  await world.stop()
})

const send = (length: number) =>
  post(server.url, formBody({ name: 'file', filename: 'x.bin', content: sampleBytes(length) }), formType)

/** The error the last handler rejected with. */
const lastError = async () => (await server.outcomes.at(-1)?.catch((error: unknown) => error)) as S3FileError

const nothingLeft = async () => {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
  expect(partMemory.usedBytes).toBe(0)
}

describe('a fault that passes', () => {
  it.each<[FaultKind, Operation, number]>([
    ['internalError', 'PutObject', 1000],
    ['slowDown', 'PutObject', 1000],
    ['resetMidBody', 'PutObject', 1000],
    ['stall', 'PutObject', 1000],
    ['internalError', 'CreateMultipartUpload', 8 * MiB],
    ['internalError', 'UploadPart', 12 * MiB],
    ['slowDown', 'UploadPart', 12 * MiB],
    ['resetMidBody', 'UploadPart', 12 * MiB],
    ['stall', 'UploadPart', 12 * MiB],
    ['truncatedResponse', 'UploadPart', 12 * MiB],
    ['lostResponse', 'UploadPart', 12 * MiB],
    ['slowDown', 'CompleteMultipartUpload', 8 * MiB],
    ['lostResponse', 'CompleteMultipartUpload', 8 * MiB],
    ['lostResponse', 'PutObject', 1000],
  ])('%s at %s is tried again, and the file is whole', async (kind, on, length) => {
    world.proxy.inject({ on, kind })
    const answer = await send(length)
    expect(answer).toMatchObject({ status: 200, body: { size: length } })
    const file = (await server.outcomes.at(-1)) as { bytes: () => Promise<Buffer> }
    expect((await file.bytes()).equals(sampleBytes(length))).toBe(true)
    expect(await world.keys()).toHaveLength(1)
    expect(await world.openUploads()).toEqual([])
    expect(partMemory.usedBytes).toBe(0)
  })
})

describe('a fault that stays', () => {
  it.each<[FaultKind, Operation, number, number, string]>([
    ['internalError', 'PutObject', 1000, 502, 'storage-failed'],
    ['slowDown', 'PutObject', 1000, 503, 'storage-busy'],
    ['accessDenied', 'PutObject', 1000, 502, 'storage-refused'],
    ['resetMidBody', 'PutObject', 1000, 502, 'storage-unreachable'],
    ['lostResponse', 'PutObject', 1000, 502, 'storage-unreachable'],
    ['internalError', 'CreateMultipartUpload', 8 * MiB, 502, 'storage-failed'],
    ['accessDenied', 'CreateMultipartUpload', 8 * MiB, 502, 'storage-refused'],
    ['internalError', 'UploadPart', 22 * MiB, 502, 'storage-failed'],
    ['slowDown', 'UploadPart', 22 * MiB, 503, 'storage-busy'],
    ['resetMidBody', 'UploadPart', 22 * MiB, 502, 'storage-unreachable'],
    ['stall', 'UploadPart', 12 * MiB, 502, 'storage-unreachable'],
    ['internalError', 'CompleteMultipartUpload', 8 * MiB, 502, 'storage-failed'],
    ['accessDenied', 'CompleteMultipartUpload', 8 * MiB, 502, 'storage-refused'],
  ])('%s at %s fails the upload and leaves nothing', async (kind, on, length, status, code) => {
    world.proxy.inject({ on, kind, times: 100 })
    expect(await send(length)).toMatchObject({ status, body: { code } })
    const { context, message } = await lastError()
    expect(context).toMatchObject({ operation: on, bucket: S3World.server.bucket })
    expect(context).not.toHaveProperty('leftBehind')
    expect(message).toContain(S3World.server.bucket)
    world.proxy.reset()
    await nothingLeft()
  })

  it('one part that fails stops the others: they are cancelled, not sent to the end', async () => {
    world.proxy.inject({ on: 'UploadPart', kind: 'accessDenied', after: 1 })
    await send(60 * MiB)
    expect(world.proxy.countOf('UploadPart')).toBeLessThan(9)
    world.proxy.reset()
    await nothingLeft()
  })

  it('what cannot be cleaned up is named in the error', async () => {
    world.proxy.inject(
      { on: 'UploadPart', kind: 'accessDenied', times: 100 },
      { on: 'AbortMultipartUpload', kind: 'internalError', times: 100 },
    )
    await send(8 * MiB)
    expect((await lastError()).context.leftBehind).toEqual([
      expect.stringMatching(/^multipart upload \S+ of 'test-.*x\.bin'$/),
    ])
  })

  it('a checksum that does not match is refused by S3, and nothing is left', async ({ skip }) => {
    skip(!S3World.abilities.checksCrc, 'this server does not check checksums')
    for (const [on, length] of [
      ['PutObject', 1000],
      ['UploadPart', 8 * MiB],
    ] as const) {
      world.proxy.inject({ on, kind: 'corruptBody', times: 100 })
      expect((await send(length)).status).toBe(502)
      world.proxy.reset()
      await nothingLeft()
    }
  })

  it('an ETag that is wrong fails at Complete, and nothing is left', async ({ skip }) => {
    skip(S3World.server.kind === 'embedded', 'this server does not compare ETags')
    world.proxy.inject({ on: 'UploadPart', kind: 'wrongEtag' })
    expect(await send(12 * MiB)).toMatchObject({ status: 502, body: { code: 'storage-refused' } })
    await nothingLeft()
  })

  it('an S3 that falls silent ends the upload, even with a client that would wait for ever', async () => {
    const { requestHandler: _, ...clientConfig } = s3ClientConfig(S3World.server, world.proxy.endpoint)
    const client = new S3Client(clientConfig)
    configureStorages({ default: world.newStorage({ client, requestTimeoutSeconds: 1 }) })
    world.proxy.inject({ on: 'PutObject', kind: 'stall', times: 100 })
    const { status, body } = await send(1000)
    expect({ status, code: body.code }).toEqual({ status: 502, code: 'storage-unreachable' })
    expect(body.message).toMatch(/did not answer PutObject in bucket '.*' within 2 seconds/)
    client.destroy()
  })

  it('a Create whose answer is lost leaves no second upload', async ({ skip }) => {
    skip(!S3World.abilities.listsUploads, 'this server does not list multipart uploads')
    world.proxy.inject({ on: 'CreateMultipartUpload', kind: 'lostResponse' })
    expect((await send(8 * MiB)).status).toBe(200)
    expect(world.proxy.countOf('CreateMultipartUpload')).toBe(2)
    expect(await world.openUploads()).toEqual([])
  })

  it('checksums that are off do not go with a client that adds its own', async () => {
    configureStorages({ default: world.newStorage({ client: world.client, checksum: 'none' }) })
    expect((await send(1000)).body.code).toBe('invalid-option')
    const config = s3ClientConfig(S3World.server, world.proxy.endpoint)
    const client = new S3Client({ ...config, requestChecksumCalculation: 'WHEN_REQUIRED' })
    configureStorages({ default: world.newStorage({ checksum: 'none', client }) })
    for (const length of [1000, 8 * MiB]) expect((await send(length)).status).toBe(200)
    for (const { headers } of world.proxy.requests) expect(headers).not.toHaveProperty('x-amz-checksum-crc32')
    client.destroy()
  })

  it('a bucket that is not there is named', async () => {
    configureStorages({ default: world.newStorage({ bucket: 'no-such-bucket-here' }) })
    const { status, body } = await send(1000)
    expect(status).toBe(502)
    expect(body.message).toMatch(/PutObject .*'no-such-bucket-here'/)
  })

  it('an S3 that is down is answered with 502', async () => {
    const clientConfig = {
      endpoint: 'http://127.0.0.1:1',
      region: 'us-east-1',
      credentials: { accessKeyId: 'a', secretAccessKey: 'very-secret' },
    }
    configureStorages({
      default: new S3Storage({ bucket: 'any-bucket', clientConfig: { ...clientConfig, maxAttempts: 2 } }),
    })
    expect(await send(1000)).toMatchObject({ status: 502, body: { code: 'storage-unreachable' } })
    expect(JSON.stringify(await lastError())).not.toContain('very-secret')
  })
})

describe('a client', () => {
  const openUpload = (headers: Record<string, string | number>) =>
    RawRequest.open(server.port, { 'content-type': formType, ...headers })
  const head = partHead({ name: 'file', filename: 'x.bin' })

  it.each([
    ['before the first byte of the file', 0],
    ['in the first part', 2 * MiB],
    ['in the middle of a later part', 13 * MiB],
  ])('that goes away %s ends the upload within a second and leaves nothing', async (_, length) => {
    const handled = server.outcomes.length
    const request = await openUpload({ 'content-length': 30 * MiB })
    await request.send(Buffer.concat([head, sampleBytes(length)]))
    while (server.outcomes.length === handled) await sleep(5)
    if (length > 10 * MiB) while (world.proxy.countOf('UploadPart') < 2) await sleep(5)
    const start = performance.now()
    request.socket.resetAndDestroy()
    const error = await lastError()
    expect(performance.now() - start).toBeLessThan(1000)
    expect(isS3FileError(error, 'client-gone')).toBe(true)
    expect(error.statusCode).toBe(499)
    await nothingLeft()
  })

  it('that still sends gets its 413 as soon as the limit is passed', async () => {
    options = { maxSizeBytes: 8 * MiB }
    const request = await openUpload({ 'transfer-encoding': 'chunked' })
    const chunk = async (bytes: Buffer) =>
      request.send(
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]),
      )
    await chunk(head)
    await chunk(sampleBytes(9 * MiB))
    expect(await request.status()).toBe(413)
    await chunk(sampleBytes(1000))
    request.socket.destroy()
    await nothingLeft()
  })

  it('that says more than the request may have gets its 413 before it sends', async () => {
    options = { limits: { requestSizeBytes: 10 * MiB } }
    const request = await openUpload({ 'content-length': 30 * MiB })
    expect(await request.status()).toBe(413)
    request.socket.destroy()
    await nothingLeft()
  })

  it('is held back while S3 is slow: memory stays bounded', async () => {
    configureStorages({ default: world.newStorage({ maxConcurrentParts: 2 }) })
    world.proxy.delayMs = 200
    let highest = 0
    options = {
      onProgress: () => {
        highest = Math.max(highest, partMemory.usedBytes)
      },
    }
    expect((await send(60 * MiB)).status).toBe(200)
    expect(highest).toBe(10 * MiB)
  })

  it('that sends a little and then nothing holds no part memory, and a small file needs none', async () => {
    const giveBack = holdPartMemory()
    const stalled = await openUpload({ 'content-length': 50 * MiB })
    await stalled.send(Buffer.concat([head, sampleBytes(60_000)]))
    const { status } = await send(60_000)
    stalled.socket.destroy()
    giveBack()
    expect(status).toBe(200)
    await server.outcomes.at(-2)?.catch(() => undefined)
  })

  it('whose memory is used up by others waits for its turn', async () => {
    const giveBack = holdPartMemory()
    const answers = [send(100_000), send(12 * MiB)]
    await sleep(300)
    const sentMeanwhile = world.proxy.requests.length
    giveBack()
    expect(sentMeanwhile).toBe(0)
    expect(await Promise.all(answers)).toMatchObject([
      { body: { size: 100_000 } },
      { body: { size: 12 * MiB } },
    ])
    expect(partMemory.usedBytes).toBe(0)
  })
})

describe('a body that has ended before it is read', () => {
  it('is stored whole, although it says so while its last chunk waits for memory', async () => {
    const giveBack = holdPartMemory()
    const body = new Readable({ read() {} })
    body.push(sampleBytes(100_000))
    body.push(null)
    const key = `${world.prefix}ended.bin`
    const put = world.storage.put(key, body, { isKeyUnique: true })
    await sleep(200)
    giveBack()
    expect((await put).size).toBe(100_000)
    expect((await world.storage.stat(key))?.size).toBe(100_000)
  })
})

describe("the application's own functions", () => {
  it('that never answer do not keep an upload whose client is gone', async () => {
    options = { key: () => new Promise<string>(() => undefined) }
    const request = await RawRequest.open(server.port, { 'content-type': formType, 'content-length': 1000 })
    const handled = server.outcomes.length
    await request.send(partHead({ name: 'file', filename: 'x.bin' }))
    while (server.outcomes.length === handled) await sleep(5)
    request.socket.resetAndDestroy()
    expect(await lastError()).toMatchObject({ code: 'client-gone' })
    await nothingLeft()
  })

  it.each<[string, UploadRequestOptions]>([
    ['a key function', { key: () => Promise.reject(new Error('their own')) }],
    ['object parameters', { objectParams: () => Promise.reject(new Error('their own')) }],
    ['onProgress', { onProgress: (async () => Promise.reject(new Error('their own'))) as () => void }],
  ])('that fail, such as %s, end the upload with their error', async (_, given) => {
    options = given
    await send(8 * MiB)
    expect(await lastError()).toMatchObject({ message: 'their own' })
    await nothingLeft()
  })

  it('that are a storage which resolves before it has read all do not make a file', async () => {
    class Hasty extends MemoryStorage {
      override put(key: string) {
        return super.put(key, Readable.from([Buffer.from('a part of it')]))
      }
    }
    const storage = new Hasty()
    configureStorages({ default: storage })
    expect((await send(200_000)).body.code).toBe('storage-failed')
    expect(storage.objects.size).toBe(0)
  })
})

describe('an AbortSignal', () => {
  it.each([
    ['before the upload', -1],
    ['while parts are on their way', 9 * MiB],
  ])('aborted %s ends it with its reason as the cause, and nothing is left', async (_, at) => {
    const abort = new AbortController()
    const reason = new Error('the job was cancelled')
    if (at < 0) abort.abort(reason)
    options = {
      signal: abort.signal,
      onProgress: ({ receivedBytes }) => {
        if (receivedBytes > at) abort.abort(reason)
      },
    }
    expect(await send(20 * MiB)).toMatchObject({ status: 499, body: { code: 'upload-aborted' } })
    expect((await lastError()).cause).toBe(reason)
    await nothingLeft()
  })
})

describe('a journal whose database does not answer', () => {
  it.each(['open', 'nameUpload'] as const)(
    'at %s holds no part memory once the upload is given up, and nothing is left',
    async (step) => {
      const journal = new SilentJournal(step)
      const abort = new AbortController()
      options = { journal, signal: abort.signal }
      const answer = send(12 * MiB)
      while (!journal.isAsked) await sleep(5)
      abort.abort()
      expect(await answer).toMatchObject({ status: 499, body: { code: 'upload-aborted' } })
      await nothingLeft()
      expect(journal.closedEntries).toBe(step === 'nameUpload' ? 1 : 0)
    },
  )

  it('does not keep a failed source from ending the upload', async () => {
    const journal = new SilentJournal('nameUpload')
    const source = new Readable({ read() {} })
    source.push(sampleBytes(6 * MiB))
    const failure = uploadFromStream(source, { journal }).catch((error: unknown) => error)
    while (!journal.isAsked) await sleep(5)
    source.destroy(new Error('the disk is gone'))
    expect(await failure).toMatchObject({ code: 'source-failed', cause: { message: 'the disk is gone' } })
    await nothingLeft()
  })
})

describe('an upload that is given up when its last request is under way', () => {
  it.each([
    ['a PUT', 1000, 'PutObject'],
    ['Complete', 8 * MiB, 'CompleteMultipartUpload'],
  ] as const)('lets %s end, and deletes what it made', async (_, length, operation) => {
    const abort = new AbortController()
    options = { signal: abort.signal }
    world.proxy.delayMs = 200
    const answer = send(length)
    while (world.proxy.countOf(operation) === 0) await sleep(5)
    abort.abort()
    expect(await answer).toMatchObject({ status: 499, body: { code: 'upload-aborted' } })
    await nothingLeft()
  })

  it.each([1000, 12 * MiB])(
    'by an onProgress that throws, with %i bytes, rejects with that error',
    async (length) => {
      const failure = new Error('thrown by onProgress')
      options = {
        onProgress: ({ storedBytes }) => {
          if (storedBytes > 0) throw failure
        },
      }
      await send(length)
      expect(await lastError()).toBe(failure)
      await nothingLeft()
    },
  )
})
