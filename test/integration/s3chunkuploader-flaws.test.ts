import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { KiB, MiB, TiB } from '../../src/core/bytes.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { partMemory } from '../../src/storage/part-memory.ts'
import { planParts } from '../../src/storage/part-plan.ts'
import type { S3StorageOptions } from '../../src/storage/s3-storage-options.ts'
import { type UploadRequestOptions, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { TestDatabase } from '../support/database.ts'
import { InJson } from '../support/entities.ts'
import { post, RawRequest, startServer, type TestServer } from '../support/http-server.ts'
import { formBody, formType, partHead, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

let world: S3World
let server: TestServer
let options: UploadRequestOptions = {}

beforeAll(async () => {
  world = await S3World.start()
  server = await startServer(async (request) => {
    if (request.headers.authorization === 'none') throw new Error('not authorised')
    const { key, name, size } = await uploadFromRequest(request, options)
    return { key, name, size }
  })
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

const use = (storageOptions: Partial<S3StorageOptions>) =>
  configureStorages({ default: world.newStorage(storageOptions) })
const send = (length: number, query = '', filename = 'x.bin') =>
  post(`${server.url}${query}`, formBody({ name: 'file', filename, content: sampleBytes(length) }), formType)
const operations = () => world.proxy.requests.map(({ operation }) => operation)

describe('what s3chunkuploader does wrong and this does not', () => {
  it('an unbounded queue: 400 MiB accepted at once. The client waits for S3 instead', async () => {
    use({ maxConcurrentParts: 2 })
    world.proxy.inject({ on: 'UploadPart', kind: 'stall', times: 1000 })
    const request = await RawRequest.open(server.port, {
      'content-type': formType,
      'content-length': 400 * MiB,
    })
    await request.send(partHead({ name: 'file', filename: 'x.bin' }))
    let accepted = 0
    const chunk = sampleBytes(MiB)
    while (accepted < 60) {
      const isAccepted = request.send(chunk).then(() => true)
      const isStuck = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 500))
      if (!(await Promise.race([isAccepted, isStuck]))) break
      accepted++
    }
    expect(accepted).toBeLessThan(30)
    expect(partMemory.usedBytes).toBe(10 * MiB)
    request.socket.destroy()
    await server.outcomes.at(-1)?.catch(() => undefined)
    expect(partMemory.usedBytes).toBe(0)
  })

  it('10 threads, hard-coded. maxConcurrentParts says how many parts are on their way at once', async () => {
    use({ maxConcurrentParts: 1 })
    let highest = 0
    options = { onProgress: () => (highest = Math.max(highest, partMemory.usedBytes)) }
    expect((await send(18 * MiB)).status).toBe(200)
    expect(highest).toBe(5 * MiB)
  })

  it('four requests for two bytes. One PUT', async () => {
    await send(2)
    expect(operations()).toEqual(['PutObject'])
  })

  it('49 GiB at most, failing at the very end. The parts fit 5 TiB from the start', () => {
    const sizeOf = planParts({
      partSizeBytes: 5 * MiB,
      atMostBytes: 5 * TiB,
      equalParts: true,
      largestPartBytes: 5 * 1024 * MiB,
    })
    expect(sizeOf(1) * 10_000).toBeGreaterThanOrEqual(5 * TiB)
  })

  it('all parts sent after the first has failed. The first failure ends the upload', async () => {
    world.proxy.inject({ on: 'UploadPart', kind: 'accessDenied' })
    await send(60 * MiB)
    expect(world.proxy.countOf('UploadPart')).toBeLessThan(8)
  })

  it('a multipart upload left behind by a failure. It is aborted', async () => {
    world.proxy.inject({ on: 'UploadPart', kind: 'accessDenied', after: 1 })
    await send(12 * MiB)
    expect(await world.openUploads()).toEqual([])
  })

  it('a zero-byte object put by abort(). There is no placeholder object, ever', async () => {
    world.proxy.inject({ on: 'UploadPart', kind: 'accessDenied' })
    await send(12 * MiB)
    expect(world.proxy.countOf('PutObject')).toBe(0)
    expect(await world.keys()).toEqual([])
  })

  it('a stored key that is not the one written. What the row says is what S3 has', async () => {
    const { body } = await send(10)
    expect([body.key]).toEqual((await world.keys()).map((key) => world.prefix + key))
  })

  it('a save() of the field that nothing calls. The real ORM keeps it', async () => {
    const database = await TestDatabase.start('sqljs://memory')
    const repository = database.dataSource.getRepository(InJson)
    const file = await uploadFromStream(Buffer.from('x'), { name: 'a.txt', contentType: 'text/plain' })
    const { id } = await repository.save({ file })
    expect((await (await repository.findOneByOrFail({ id })).file?.bytes())?.toString()).toBe('x')
    await database.stop()
  })

  it('AttributeError for a body that was read. An error that names the likely reader', async () => {
    const outer = await startServer(async (request) => {
      for await (const _ of request);
      return uploadFromRequest(Object.assign(request, { file: { buffer: 'by multer' } }))
    })
    const { body } = await post(outer.url, formBody({ name: 'file', filename: 'a', content: 'x' }), formType)
    await outer.stop()
    expect(body.code).toBe('body-consumed')
    expect(body.message).toContain('multer')
  })

  it('an upload that runs before the view has authorised it. Nothing reaches S3 until the handler asks', async () => {
    const response = await fetch(server.url, {
      method: 'POST',
      body: formBody({ name: 'file', filename: 'x', content: sampleBytes(8 * MiB) }) as never,
      headers: { 'content-type': formType, authorization: 'none' },
    })
    expect(response.status).toBe(500)
    expect(operations()).toEqual([])
  })

  it('a client that chooses a prefix may climb out of the root. Off by default, and held in when it is on', async () => {
    expect((await send(1, '?__prefix=../evil')).status).toBe(200)
    expect((await world.keys())[0]).not.toContain('evil')
    await world.clear()
    options = { prefixQueryParam: { name: '__prefix', allow: () => true } }
    for (const prefix of ['../evil', '/etc', 'a/../../b', 'a\\b', 'a%00b', 'a//b', '%2e%2e/x', '.']) {
      const { status, body } = await send(1, `?__prefix=${encodeURIComponent(prefix)}`)
      expect([prefix, status, body.code]).toEqual([prefix, 400, 'invalid-prefix'])
    }
    expect(await world.keys()).toEqual([])
    expect((await send(1, '?__prefix=invoices/2026/')).body.key).toMatch(
      new RegExp(`^${world.prefix}invoices/2026/[\\w-]{22}/x\\.bin$`),
    )
  })

  it('timestamped names that overwrite within one second. They keep the look and never meet', async () => {
    options = { key: 'timestamped' }
    const keys = await Promise.all(Array.from({ length: 5 }, async () => (await send(1)).body.key as string))
    expect(new Set(keys).size).toBe(5)
    for (const key of keys) expect(key.slice(world.prefix.length)).toMatch(/^x_\d{14}_[\w-]{22}\.bin$/)
  })

  it('a least part size that is not checked, and uneven parts. 5 MiB at least, all equal but the last', async () => {
    expect(() => use({ partSizeBytes: 5 * MiB - 1 })).toThrow(/'partSizeBytes' takes an integer from 5242880/)
    await send(11 * MiB + 3)
    const sizes = world.proxy.requests.filter(({ operation }) => operation === 'UploadPart')
    expect(sizes.map(({ bodyBytes }) => bodyBytes).sort((a, b) => b - a)).toEqual([5 * MiB, 5 * MiB, MiB + 3])
  })

  it("a limit on the first file that looks at the request's length. Bytes are counted, per file and request", async () => {
    options = { maxSizeBytes: 10 * KiB, limits: { requestSizeBytes: 11 * KiB } }
    expect((await send(10 * KiB)).status).toBe(200)
    expect((await send(10 * KiB + 1)).body.code).toBe('file-too-large')
    expect((await send(12 * KiB)).body.code).toBe('request-too-large')
  })

  it("cleaned names that lose their extension's dot, or everything. The base is cleaned, the extension kept", async () => {
    for (const [filename, end] of [
      ['報告 v1.PDF', '/v1.pdf'],
      ['报告.pdf', '/file.pdf'],
      ['Über uns.tar.gz', '/Uber-uns.tar.gz'],
    ] as const) {
      const { body } = await send(1, '', filename)
      expect((body.key as string).slice(-end.length)).toBe(end)
      expect(body.name).toBe(filename)
    }
  })

  it('a key function that nobody checks. It is typed, may be async, and its result is validated', async () => {
    options = { key: async ({ name, extension }) => `by-name/${name.length}.${extension}` }
    expect((await send(1)).body.key).toBe(`${world.prefix}by-name/5.bin`)
    for (const bad of ['', '/x', '../x', 'a//b', 'x'.repeat(1025), 5 as never]) {
      options = { key: () => bad }
      expect((await send(1)).body.code).toBe('invalid-key')
    }
    expect(await world.keys()).toHaveLength(1)
  })

  it('an existing object overwritten. A key that is taken is refused', async () => {
    options = { key: () => 'fixed.bin' }
    expect((await send(1)).status).toBe(200)
    expect((await send(2)).body.code).toBe('key-taken')
    expect((await send(8 * MiB)).body.code).toBe('key-taken')
    expect((await world.storage.stat(`${world.prefix}fixed.bin`))?.size).toBe(1)
    expect(await world.openUploads()).toEqual([])
  })
})
