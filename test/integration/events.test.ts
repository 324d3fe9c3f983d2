import { AsyncLocalStorage } from 'node:async_hooks'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'
import { DataSource } from 'typeorm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { channels } from '../../src/core/events.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { reconcile } from '../../src/orm/reconcile.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import {
  type UploadRequestOptions,
  uploadFormFromRequest,
  uploadFromRequest,
} from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { silentLogger } from '../support/database.ts'
import { EventLog } from '../support/event-log.ts'
import { post, RawRequest, startServer, type TestServer } from '../support/http-server.ts'
import { Paper } from '../support/lifecycle-entities.ts'
import { boundary, formBody, formType, partHead, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions, s3ClientConfig } from '../support/servers.ts'

const MiB = 1024 * 1024

let world: S3World
let server: TestServer
let options: UploadRequestOptions = {}
let log: EventLog

beforeAll(async () => {
  world = await S3World.start()
  server = await startServer((request) =>
    request.url === '/form' ? uploadFormFromRequest(request, options) : uploadFromRequest(request, options),
  )
})
beforeEach(() => {
  log = new EventLog()
})
afterEach(async () => {
  log.end()
  options = {}
  configureStorages({ default: world.storage })
  await world.clear()
})
afterAll(async () => {
  await server.stop()
  await world.stop()
})

const filePart = (length: number, filename = 'x.bin') => ({
  name: 'cv',
  filename,
  content: sampleBytes(length),
})
const send = (length: number) => post(server.url, formBody(filePart(length)), formType)

function nextOn(name: keyof typeof channels): Promise<void> {
  return new Promise((resolve) => {
    const listener = () => {
      channels[name].unsubscribe(listener)
      resolve()
    }
    channels[name].subscribe(listener)
  })
}

const milliseconds = expect.any(Number)
const anyId = expect.stringMatching(/^[0-9a-f-]{36}$/)
const anyKey = () => expect.stringContaining(world.prefix)

/** Each upload has one start, and one event that ends it, behind it. */
function expectOneEndEach(): void {
  const started = log.of('upload:start').map(({ id }) => id)
  const ends = (['upload:complete', 'upload:fail', 'upload:abort'] as const).flatMap((name) => log.of(name))
  expect(new Set(started).size).toBe(started.length)
  expect(ends.map(({ id }) => id).sort()).toEqual(started.toSorted())
}

describe('an upload', () => {
  it('tells its start, its one part and its end', async () => {
    await send(1000)
    const upload = { id: anyId, storage: 'default', field: 'cv', name: 'x.bin', key: anyKey() }
    expect(log.all).toEqual([
      ['upload:start', { ...upload, key: null }],
      ['upload:part', { ...upload, partNumber: 1, bytes: 1000, durationMs: milliseconds, attempts: 1 }],
      [
        'upload:complete',
        { ...upload, contentType: 'application/octet-stream', size: 1000, durationMs: milliseconds },
      ],
    ])
    expectOneEndEach()
  })

  it('tells each of its parts', async () => {
    await send(12 * MiB)
    const parts = log.of('upload:part').sort((a, b) => a.partNumber - b.partNumber)
    expect(parts.map(({ partNumber, bytes }) => [partNumber, bytes])).toEqual([
      [1, 5 * MiB],
      [2, 5 * MiB],
      [3, 2 * MiB],
    ])
    for (const { durationMs } of parts) expect(durationMs).toBeGreaterThan(0)
    expect(log.names.at(-1)).toBe('upload:complete')
    expectOneEndEach()
  })

  it('of a stream, and into memory, tells the same', async () => {
    await uploadFromStream(Buffer.from('abc'), { name: 'a.txt' })
    expect(log.names).toEqual(['upload:start', 'upload:part', 'upload:complete'])
    expect(log.of('upload:complete')[0]).toMatchObject({ field: null, name: 'a.txt', size: 3 })
  })

  it('says nothing that leads to the object but its key', async () => {
    await send(12 * MiB)
    expect(JSON.stringify(log.all)).not.toMatch(/https?:|X-Amz|[Ss]ignature|credential/)
  })

  it('that the store refuses fails once', async () => {
    world.proxy.inject({ on: 'PutObject', kind: 'accessDenied' })
    await send(1000)
    expect(log.names).toEqual(['upload:start', 'upload:fail'])
    expect(log.of('upload:fail')).toEqual([
      {
        ...{ id: anyId, storage: 'default', field: 'cv', name: 'x.bin', key: anyKey() },
        ...{ errorCode: 'storage-refused', durationMs: milliseconds },
      },
    ])
    expectOneEndEach()
  })

  it('that fails before it has a key fails once, also by an error of the application', async () => {
    options = { accept: ['image/*'] }
    await send(1000)
    options = {
      key: () => {
        throw new Error('mine')
      },
    }
    await send(1000)
    expect(log.of('upload:fail')).toMatchObject([
      { errorCode: 'type-not-accepted', key: null },
      { errorCode: null, key: null },
    ])
    expectOneEndEach()
  })

  it('whose client goes, or whose signal is aborted, is aborted once', async () => {
    const request = await RawRequest.open(server.port, { 'content-type': formType, 'content-length': 9000 })
    const first = nextOn('upload:start')
    await request.send(Buffer.concat([partHead({ name: 'cv', filename: 'x.bin' }), sampleBytes(6000)]))
    await first
    request.socket.destroy()
    await server.outcomes.at(-1)?.catch(() => undefined)
    const stop = new AbortController()
    const endless = Readable.from(
      (async function* () {
        yield sampleBytes(6 * MiB)
        stop.abort()
        yield sampleBytes(6 * MiB)
        await new Promise(() => undefined)
      })(),
      { objectMode: false },
    )
    await uploadFromStream(endless, { signal: stop.signal }).catch(() => undefined)
    expect(log.of('upload:abort').map(({ errorCode }) => errorCode)).toEqual([
      'client-gone',
      'upload-aborted',
    ])
    expect(log.of('upload:fail')).toEqual([])
    expectOneEndEach()
  })

  it('that is refused before a file has begun tells nothing', async () => {
    await post(server.url, 'x', 'text/plain')
    expect(log.all).toEqual([])
  })

  it('of a form completes with the form, or fails with it', async () => {
    await post(`${server.url}form`, formBody(filePart(10, 'a'), filePart(20, 'b')), formType)
    expect(log.of('upload:complete').map(({ name, size }) => [name, size])).toEqual([
      ['a', 10],
      ['b', 20],
    ])
    log.clear()
    options = { limits: { files: 1 } }
    await post(`${server.url}form`, formBody(filePart(10, 'a'), filePart(20, 'b')), formType)
    expect(log.of('upload:complete')).toEqual([])
    expect(log.of('upload:fail')).toMatchObject([{ name: 'a', errorCode: 'too-many-files' }])
    // It may have been stored by then.
    for (const deletion of log.of('delete')) expect(deletion).toMatchObject({ reason: 'upload-failed' })
    expectOneEndEach()
  })

  it('that is stored and then taken back deletes its object', async () => {
    const truncated = formBody(filePart(10)).subarray(0, -boundary.length - 6)
    const stored = nextOn('upload:part')
    const request = await RawRequest.open(server.port, {
      'content-type': formType,
      'content-length': truncated.length + 500,
    })
    await request.send(Buffer.concat([truncated, Buffer.from(`--${boundary}\r\n`)]))
    await stored
    request.socket.destroy()
    await server.outcomes.at(-1)?.catch(() => undefined)
    expect(log.names).toEqual(['upload:start', 'upload:part', 'delete', 'upload:abort'])
    const [{ key } = { key: null }] = log.of('upload:abort')
    expect(log.of('delete')).toEqual([{ storage: 'default', key, reason: 'upload-failed' }])
  })

  it('tells what it could not take back', async () => {
    const refusing = { kind: 'accessDenied', times: 100 } as const
    world.proxy.inject({ on: 'UploadPart', ...refusing }, { on: 'AbortMultipartUpload', ...refusing })
    await send(12 * MiB)
    const [{ key } = { key: '' }] = log.of('upload:fail')
    expect(log.of('cleanup:fail')).toEqual([{ storage: 'default', key, errorCode: null }])
    expectOneEndEach()
  })
})

describe('a retry', () => {
  const withFaults = async (times: number) => {
    world.proxy.inject({ on: 'PutObject', kind: 'internalError', times })
    await send(1000)
    return log.of('retry')
  }
  const retry = () => ({ bucket: S3World.server.bucket, operation: 'PutObject', key: anyKey() })

  it('is told once for each request, when it has helped', async () => {
    expect(await withFaults(2)).toEqual([{ ...retry(), attempts: 3, errorCode: null }])
    expect(log.of('upload:part')).toMatchObject([{ attempts: 3 }])
    expect(log.names.at(-1)).toBe('upload:complete')
  })

  it('and when it has not', async () => {
    expect(await withFaults(100)).toEqual([{ ...retry(), attempts: 3, errorCode: 'storage-failed' }])
    expect(log.names.at(-1)).toBe('upload:fail')
  })

  it('of a part is told with the part, and nothing where there was none', async () => {
    world.proxy.inject({ on: 'UploadPart', kind: 'slowDown' })
    await send(12 * MiB)
    expect(log.of('retry')).toMatchObject([{ operation: 'UploadPart', attempts: 2, errorCode: null }])
    expect(
      log
        .of('upload:part')
        .map(({ attempts }) => attempts)
        .sort(),
    ).toEqual([1, 1, 2])
  })

  it('whose first answer was lost counts for the part', async () => {
    world.proxy.inject({ on: 'PutObject', kind: 'lostResponse' })
    await send(1000)
    expect(log.of('upload:part')).toMatchObject([{ attempts: 2 }])
    expect(log.of('retry').filter(({ operation }) => operation === 'PutObject')).toHaveLength(1)
  })
})

describe('a deletion', () => {
  let dataSource: DataSource
  const failures: unknown[][] = []
  beforeAll(async () => {
    dataSource = await new DataSource({
      ...dataSourceOptions(inject('servers').databaseUrl),
      entities: [Paper, FileJournalEntry],
      subscribers: [S3FileSubscriber.with({ onCleanupError: (...told) => failures.push(told) })],
      synchronize: true,
      dropSchema: true,
      logger: silentLogger,
    } as ConstructorParameters<typeof DataSource>[0]).initialize()
  })
  afterEach(async () => {
    failures.length = 0
    await dataSource.getRepository(Paper).createQueryBuilder().delete().execute()
    await dataSource.getRepository(FileJournalEntry).createQueryBuilder().delete().execute()
  })
  afterAll(() => dataSource.destroy())

  const saved = async () =>
    dataSource.manager.save(Object.assign(new Paper(), { file: await uploadFromStream(Buffer.from('a')) }))

  it('after COMMIT is told once', async () => {
    const paper = await saved()
    const key = paper.file?.key
    await dataSource.manager.remove(paper)
    await filesSettled()
    expect(log.of('delete')).toEqual([{ storage: 'default', key, reason: 'unreferred' }])
  })

  it('by discard() that the store refuses is published as a failure', async () => {
    const file = await uploadFromStream(Buffer.from('a'))
    world.proxy.inject({ on: 'DeleteObject', kind: 'accessDenied', times: 100 })
    await expect(file.discard()).rejects.toMatchObject({ code: 'storage-refused' })
    expect(log.of('delete')).toEqual([])
    expect(log.of('cleanup:fail')).toEqual([
      { storage: 'default', key: file.key, errorCode: 'storage-refused' },
    ])
  })

  it('by discard() is told', async () => {
    const file = await uploadFromStream(Buffer.from('a'))
    await file.discard()
    expect(log.of('delete')).toEqual([{ storage: 'default', key: file.key, reason: 'discarded' }])
  })

  it('that fails is told with onCleanupError, again when the janitor fails, and then that it is done', async () => {
    const paper = await saved()
    const object = { storage: 'default', key: paper.file?.key }
    world.proxy.inject({ on: 'DeleteObjects', kind: 'accessDenied', times: 2 })
    await dataSource.manager.remove(paper)
    await filesSettled()
    const failure = { ...object, errorCode: 'storage-refused' }
    expect(log.of('cleanup:fail')).toEqual([failure])
    expect(failures).toEqual([[expect.anything(), object]])
    expect(isS3FileError(failures[0]?.[0], 'storage-refused')).toBe(true)

    const makeDue = () =>
      dataSource
        .getRepository(FileJournalEntry)
        .update({ key: object.key as string }, { dueAt: '2000-01-01T00:00:00.000Z' })
    await makeDue()
    await new FileJanitor(dataSource).runOnce()
    expect(log.of('cleanup:fail')).toEqual([failure, failure])
    await makeDue()
    await new FileJanitor(dataSource).runOnce()
    expect(log.of('delete')).toEqual([{ ...object, reason: 'unreferred' }])
  })

  it('of an orphan is told', async () => {
    const storage = new MemoryStorage()
    configureStorages({ default: storage })
    await storage.put('orphan', Readable.from([Buffer.from('a')]))
    for await (const _ of reconcile(dataSource, { deleteOrphans: true, olderThanSeconds: 0 }));
    expect(log.of('delete')).toEqual([{ storage: 'default', key: 'orphan', reason: 'orphan' }])
  })
})

describe('a subscriber', () => {
  it('that throws breaks no upload; Node makes an uncaught exception of it', async () => {
    const thrown: unknown[] = []
    const failing = () => {
      throw new Error('mine')
    }
    process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error))
    try {
      for (const { name } of Object.values(channels)) subscribe(name, failing)
      expect((await send(12 * MiB)).status).toBe(200)
      await new Promise(setImmediate)
    } finally {
      for (const { name } of Object.values(channels)) unsubscribe(name, failing)
      process.setUncaughtExceptionCaptureCallback(null)
    }
    expect(thrown).toHaveLength(5)
    expect(thrown[0]).toMatchObject({ message: 'mine' })
    expect(log.names.at(-1)).toBe('upload:complete')
  })

  it('of another copy of the package, or of none, gets the same messages', () => {
    for (const [name, own] of Object.entries(channels)) expect(channel(`typeorm-s3-file:${name}`)).toBe(own)
  })

  it('hears of nothing when there is none', async () => {
    log.end()
    for (const each of Object.values(channels)) expect(each.hasSubscribers).toBe(false)
    await send(1000)
    expect(log.all).toEqual([])
  })
})

describe('the context of the caller', () => {
  const caller = new AsyncLocalStorage<string>()

  it('holds in each event, in its key function and in the requests to S3', async () => {
    const seen: Record<string, unknown> = {}
    const note = (_message: unknown, name: string | symbol) => {
      seen[String(name).replace('typeorm-s3-file:', '')] = caller.getStore()
    }
    const client = new S3Client(s3ClientConfig(S3World.server, world.proxy.endpoint))
    client.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          seen[`${commandName}`] = caller.getStore()
          return next(args)
        },
      { step: 'build' },
    )
    configureStorages({ default: world.newStorage({ client }) })
    const site = await startServer((request) =>
      caller.run('the handler', () =>
        uploadFromRequest(request, {
          key: ({ name }) => {
            seen.key = caller.getStore()
            return name
          },
        }),
      ),
    )
    for (const { name } of Object.values(channels)) subscribe(name, note)
    await post(site.url, formBody(filePart(12 * MiB)), formType)
    for (const { name } of Object.values(channels)) unsubscribe(name, note)
    await site.stop()
    client.destroy()
    const commands = ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload']
    const requests = ['HeadObject', ...commands].map((name) => `${name}Command`)
    const events = ['upload:start', 'upload:part', 'upload:complete']
    expect(seen).toEqual(
      Object.fromEntries([...events, 'key', ...requests].map((name) => [name, 'the handler'])),
    )
  })

  it('is what a subscriber has bound to the start of the upload', async () => {
    const spans = new AsyncLocalStorage<{ name: string }>()
    channels['upload:start'].bindStore(spans, (message) => ({
      name: `span of ${(message as { name: string }).name}`,
    }))
    let seen: unknown
    try {
      await uploadFromStream(Buffer.from('a'), {
        name: 'a.txt',
        key: ({ name }) => {
          seen = spans.getStore()
          return `${name}`
        },
      })
    } finally {
      channels['upload:start'].unbindStore(spans)
    }
    expect(seen).toEqual({ name: 'span of a.txt' })
  })
})
