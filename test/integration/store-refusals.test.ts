import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import type { S3Storage } from '../../src/storage/s3-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import type { FaultKind } from '../support/chaos-proxy.ts'
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
  storage = world.newStorage()
  configureStorages({ default: storage })
})
afterEach(() => world.clear())
afterAll(() => world.stop())

const upload = (length: number, journal = new OpenEntries()) =>
  uploadFromStream(sampleBytes(length), { name: 'x.bin', journal })

async function storeMany(count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, () => `${world.prefix}${randomBytes(6).toString('hex')}`)
  await Promise.all(
    keys.map((key) => storage.put(key, Readable.from([Buffer.from('x')]), { isKeyUnique: true })),
  )
  return keys
}

describe('a store without DeleteObjects', () => {
  it.each<FaultKind>(['notImplemented', 'notAllowed', 'missingContentMd5'])(
    'that answers %s has its objects deleted one by one, and is asked for no more',
    async (kind) => {
      const keys = await storeMany(20)
      world.proxy.inject({ on: 'DeleteObjects', kind, times: 1000 })
      expect(await storage.deleteMany([...keys, `${world.prefix}absent`])).toEqual([])
      expect(await world.keys()).toEqual([])
      const asked = world.proxy.countOf('DeleteObjects')
      expect(asked).toBeLessThan(8)
      const [key] = await storeMany(1)
      expect(await storage.deleteMany([key as string])).toEqual([])
      expect(await world.keys()).toEqual([])
      expect(world.proxy.countOf('DeleteObjects')).toBe(asked)
    },
  )

  it('is told of each object that cannot be deleted so, either', async () => {
    const keys = await storeMany(3)
    world.proxy.inject(
      { on: 'DeleteObjects', kind: 'notImplemented', times: 1000 },
      { on: 'DeleteObject', kind: 'accessDenied' },
    )
    const failures = await storage.deleteMany(keys)
    expect(failures).toMatchObject([
      { error: { code: 'storage-refused', context: { operation: 'DeleteObject', s3Code: 'AccessDenied' } } },
    ])
    expect(await world.keys()).toEqual([failures[0]?.key.slice(world.prefix.length)])
  })
})

describe('a store with DeleteObjects', () => {
  it('that refuses one as malformed is asked for it again, since it has done it before', async () => {
    const keys = await storeMany(4)
    expect(await storage.deleteMany([keys[0] as string])).toEqual([])
    world.proxy.inject({ on: 'DeleteObjects', kind: 'missingContentMd5', times: 3 })
    expect(await storage.deleteMany(keys.slice(1))).toEqual([])
    expect(await world.keys()).toEqual([])
    const asked = world.proxy.countOf('DeleteObjects')
    await storage.deleteMany(keys)
    expect(world.proxy.countOf('DeleteObjects')).toBe(asked + 1)
  })

  it.each<FaultKind>(['accessDenied', 'internalError'])(
    'that fails otherwise (%s) is not asked for each object',
    async (kind) => {
      const keys = await storeMany(3)
      world.proxy.inject({ on: 'DeleteObjects', kind, times: 1000 })
      expect(await storage.deleteMany(keys)).toHaveLength(3)
      expect(world.proxy.countOf('DeleteObject')).toBe(0)
    },
  )
})

describe('a write that is answered NotImplemented', () => {
  it.each([
    ['PutObject', 1000],
    ['CompleteMultipartUpload', 8 * MiB],
  ] as const)('because of If-None-Match is sent without, now and from then on: %s', async (on, length) => {
    const conditions = () =>
      world.proxy.requests
        .filter(({ operation }) => operation === on)
        .map(({ headers }) => headers['if-none-match'])
    world.proxy.inject({ on, kind: 'notImplemented' })
    await upload(length)
    await upload(length)
    expect(conditions()).toEqual(['*', undefined, undefined])
    expect(await world.keys()).toHaveLength(2)
  })

  it('for another reason keeps its condition the next time', async () => {
    const journal = new OpenEntries()
    world.proxy.inject({ on: 'PutObject', kind: 'notImplemented', times: 2 })
    expect(await failureOf(upload(1000, journal))).toMatchObject({
      code: 'storage-refused',
      context: { s3Code: 'NotImplemented', httpStatus: 501 },
    })
    expect([...journal.keys]).toEqual([])
    await upload(1000)
    expect(world.proxy.requests.map(({ headers }) => headers['if-none-match'])).toEqual(['*', undefined, '*'])
  })
})

describe('a write whose answer was lost, and which is then refused', () => {
  it.each([
    ['PutObject', 1000],
    ['CompleteMultipartUpload', 8 * MiB],
  ] as const)(
    'is not surely gone: its entry stays, and the error names the object (%s)',
    async (on, length) => {
      const journal = new OpenEntries()
      world.proxy.inject({ on, kind: 'lostResponse' }, { on, kind: 'accessDenied', times: 100 })
      const failure = await failureOf(upload(length, journal))
      const [key] = journal.keys
      expect(failure).toMatchObject({ code: 'storage-refused', context: { s3Code: 'AccessDenied' } })
      expect(failure.context.mayBeLeft).toEqual([`object '${key}'`])
      expect(await world.keys()).toEqual([])

      world.proxy.reset()
      world.proxy.inject(
        { on, kind: 'lostResponse' },
        { on, kind: 'accessDenied', times: 100 },
        { on: 'DeleteObject', kind: 'accessDenied', times: 100 },
      )
      const second = await failureOf(upload(length, journal))
      const [, secondKey] = journal.keys
      expect(second.context.leftBehind).toEqual([`object '${secondKey}'`])
    },
  )

  it('is surely gone when it was refused at once: no entry stays', async () => {
    const journal = new OpenEntries()
    world.proxy.inject({ on: 'PutObject', kind: 'accessDenied', times: 100 })
    const { context } = await failureOf(upload(1000, journal))
    expect([context.leftBehind, context.mayBeLeft]).toEqual([undefined, undefined])
    expect([...journal.keys]).toEqual([])
  })
})
