import { randomUUID } from 'node:crypto'
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor, type FileJanitorOptions, type JanitorReport } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { CountingStorage } from '../support/counting-storage.ts'
import {
  Album,
  Draft,
  lifecycleEntities,
  Paper,
  Picture,
  Stack,
  Witness,
} from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings, settingsWithJournal } from '../support/lifecycle-world.ts'
import { S3World } from '../support/s3-world.ts'

const nothing: JanitorReport = { deleted: 0, kept: 0, failed: 0, abortedUploads: 0 }

describe.each(settingsWithJournal)('the janitor on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal, entities: lifecycleEntities })
  })
  afterAll(() => world.stop())
  afterEach(async () => {
    configureStorages({ default: world.s3.storage })
    await world.clear()
  })

  const run = (options: FileJanitorOptions = {}) => new FileJanitor(world.dataSource, options).runOnce()

  /** Writes entries, which are due unless they say otherwise. */
  async function noted(...entries: Partial<FileJournalEntry>[]): Promise<void> {
    const now = new Date(Date.now() - 1000).toISOString()
    const common = { reason: 'release' as const, storage: 'default', since: now, dueAt: now }
    for (let start = 0; start < entries.length; start += 500) {
      const some = entries.slice(start, start + 500)
      await world.manager.insert(
        FileJournalEntry,
        some.map((entry) => ({ id: randomUUID(), ...common, ...entry }) as FileJournalEntry),
      )
    }
  }

  const keysOf = (count: number) => Array.from({ length: count }, (_, index) => `object-${index}`)

  describe('among others', () => {
    /** Objects with an entry each, of which rows refer to every tenth. */
    async function backlog(
      count: number,
    ): Promise<{ storage: CountingStorage; unused: string[]; used: string[] }> {
      const storage = new CountingStorage()
      configureStorages({ default: storage })
      const keys = keysOf(count)
      for (const key of keys) storage.objects.set(key, { size: 1 } as never)
      const used = keys.filter((_, index) => index % 10 === 0)
      const files = used.map((key) => new S3File({ key }))
      await world.saved(Stack, { files: files.slice(100) })
      await world.manager.save(files.slice(0, 100).map((file) => Object.assign(new Witness(), { file })))
      await noted(...keys.map((key) => ({ key })))
      return { storage, used, unused: keys.filter((key) => !used.includes(key)) }
    }

    it.each([2_000, 10_000])(
      'deletes each of %i objects once, and none that a row refers to, while the application goes on',
      async (count) => {
        const { storage, used, unused } = await backlog(count)
        const second = database.name === 'SQLite' ? world.dataSource : await world.connect()
        const app = async () => {
          for (const [index, key] of keysOf(20).entries()) {
            storage.objects.set(`app-${key}`, { size: 1 } as never)
            const row = await world.saved(Paper, { file: new S3File({ key: `app-${key}` }) })
            if (index % 2 === 0) await world.manager.remove(row)
          }
        }
        const runs = [
          new FileJanitor(world.dataSource, { batchSize: 300 }).runOnce(),
          new FileJanitor(second, { batchSize: 300 }).runOnce(),
          app().then(() => nothing),
        ]
        await Promise.allSettled(runs)
        await filesSettled()
        if (second !== world.dataSource) await second.destroy()
        const [first = nothing, other = nothing] = await Promise.all(runs)
        expect(first.deleted + other.deleted).toBeGreaterThanOrEqual(unused.length) // Some of the application's, too.
        expect(first.kept + other.kept).toBe(used.length)
        const removed = keysOf(20).flatMap((key, index) => (index % 2 === 0 ? [`app-${key}`] : []))
        expect([...storage.deletions.keys()].sort()).toEqual([...unused, ...removed].sort())
        expect(new Set(storage.deletions.values())).toEqual(new Set([1]))
        expect(await world.entries()).toEqual([])
      },
    )

    it('leaves an entry to the one that has taken it, until its lease is over', async () => {
      const { storage } = await backlog(0)
      const until = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString()
      await noted(
        { key: 'taken', claimedBy: randomUUID(), claimedUntil: until(60) },
        { key: 'forsaken', claimedBy: randomUUID(), claimedUntil: until(-1) },
      )
      expect(await run()).toEqual({ ...nothing, deleted: 1 })
      expect([...storage.deletions.keys()]).toEqual(['forsaken'])
      expect(await world.entries()).toMatchObject([{ key: 'taken' }])
    })
  })

  it('keeps what a row of any field refers to, soft-removed rows included', async () => {
    const files = await Promise.all(['1', '2', '3', '4', '5', '6'].map((text) => world.upload(text)))
    const [inJson, inKey, inColumns, inList, inDraft, unused] = files as [
      S3File,
      S3File,
      S3File,
      S3File,
      S3File,
      S3File,
    ]
    await world.saved(Paper, { file: inJson })
    await world.saved(Witness, { file: inKey })
    await world.saved(Album, { pictures: [Object.assign(new Picture(), { file: inColumns })] })
    await world.saved(Stack, { files: [inList] })
    await world.manager.softRemove(await world.saved(Draft, { file: inDraft }))
    await world.manager.delete(FileJournalEntry, { key: unused.key })
    await noted(...files.map(({ key }) => ({ key })))
    expect(await run()).toEqual({ ...nothing, deleted: 1, kept: 5 })
    await world.expectTruth()
  })

  it('deletes an object once that has several entries', async () => {
    const storage = new CountingStorage()
    configureStorages({ default: storage })
    await noted({ key: 'a' }, { key: 'a' }, { key: 'b' })
    expect(await run()).toEqual({ ...nothing, deleted: 3 })
    expect([...storage.deletions].sort()).toEqual([
      ['a', 1],
      ['b', 1],
    ])
  })

  it('leaves what is not due yet', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    await noted({ key: 'a', dueAt: tomorrow }, { key: 'b', reason: 'upload', dueAt: tomorrow })
    expect(await run()).toEqual(nothing)
    expect(await world.entries()).toHaveLength(2)
  })

  it('waits for deleteAfterSeconds with what rows let go, not with uploads', async () => {
    await noted({ key: 'a' }, { key: 'b', reason: 'upload', uploadId: 'none' })
    expect(await run({ deleteAfterSeconds: 60 })).toMatchObject({ deleted: 1 })
    expect(await world.entries()).toMatchObject([{ key: 'a' }])
  })

  describe('with an abandoned upload', () => {
    const begun = async () => {
      const Key = `${world.s3.prefix}abandoned/${randomUUID()}`
      const { UploadId } = await world.s3.client.send(
        new CreateMultipartUploadCommand({ Bucket: S3World.server.bucket, Key }),
      )
      return { key: Key, uploadId: UploadId as string, reason: 'upload' as const }
    }

    it('aborts its multipart upload', async () => {
      await noted(await begun(), await begun(), await begun())
      expect(await run()).toEqual({ ...nothing, deleted: 3, abortedUploads: 3 })
      expect(await world.s3.openUploads()).toEqual([])
      await world.expectTruth()
    })

    it.skipIf(!S3World.abilities.listsUploads)(
      `aborts it also when its id was not noted any more${S3World.abilities.listsUploads ? '' : ' (this S3 lists no uploads)'}`,
      async () => {
        const [first, second, other] = [await begun(), await begun(), await begun()]
        await noted({ ...first, uploadId: null }, { ...second, uploadId: null })
        expect(await run()).toEqual({ ...nothing, deleted: 2, abortedUploads: 2 })
        expect(await world.s3.openUploads()).toEqual([other.key])
        await world.expectTruth()
      },
    )

    it('deletes the object of one that was completed', async () => {
      const file = await world.upload()
      await world.age(10 * 86_400)
      expect(await run()).toMatchObject({ deleted: 1, failed: 0 })
      expect(await file.exists()).toBe(false)
      await world.expectTruth()
    })

    it('keeps the entry when it cannot be aborted: it may still be completed', async () => {
      const upload = await begun()
      await noted(upload, { key: `${world.s3.prefix}other` })
      world.s3.proxy.inject({ on: 'AbortMultipartUpload', kind: 'accessDenied', times: 10 })
      expect(await run()).toMatchObject({ deleted: 1, failed: 1, abortedUploads: 0 })
      expect(await world.entries()).toMatchObject([{ key: upload.key, attempts: 1 }])
      world.s3.proxy.reset()
      await world.age(31)
      expect(await run()).toMatchObject({ deleted: 1, abortedUploads: 1 })
      expect(await world.s3.openUploads()).toEqual([])
    })

    it('leaves one that a row refers to', async () => {
      const file = await world.upload()
      await world.saved(Paper, { file })
      await noted({ key: file.key, reason: 'upload' })
      expect(await run()).toEqual({ ...nothing, kept: 1 })
      await world.expectTruth()
    })
  })

  describe('when something fails', () => {
    it('fails the entries of a storage that is not configured, and no others', async () => {
      const file = await world.upload()
      await world.manager.delete(FileJournalEntry, { key: file.key })
      await noted({ key: 'a', storage: 'elsewhere' }, { key: file.key })
      expect(await run()).toEqual({ ...nothing, deleted: 1, failed: 1 })
      expect(await world.entries()).toMatchObject([
        { storage: 'elsewhere', attempts: 1, lastError: expect.stringContaining("no storage 'elsewhere'") },
      ])
    })

    it('fails the objects that the store refuses to delete, and no others, and comes to an end', async () => {
      const storage = new CountingStorage()
      storage.refused.add('object-1').add('object-3')
      configureStorages({ default: storage })
      await noted(...keysOf(5).map((key) => ({ key })))
      expect(await run({ batchSize: 2 })).toEqual({ ...nothing, deleted: 3, failed: 2 })
      expect((await world.entries()).map(({ key, lastError }) => [key, lastError]).sort()).toEqual([
        ['object-1', 'Error: refused'],
        ['object-3', 'Error: refused'],
      ])
    })

    it('tries again what has failed when that is due', async () => {
      const storage = new CountingStorage()
      storage.refused.add('a')
      configureStorages({ default: storage })
      await noted({ key: 'a' })
      expect(await run()).toMatchObject({ failed: 1 })
      storage.refused.clear()
      expect(await run()).toEqual(nothing)
      await world.age(31)
      expect(await run()).toEqual({ ...nothing, deleted: 1 })
    })

    it('deletes nothing when the tables cannot be read', async () => {
      const storage = new CountingStorage()
      configureStorages({ default: storage })
      await noted({ key: 'a' })
      const table = world.dataSource.driver.escape('keeper')
      await world.dataSource.query(`ALTER TABLE ${table} RENAME TO keeper_away`)
      try {
        expect(await run()).toEqual({ ...nothing, failed: 1 })
      } finally {
        await world.dataSource.query(`ALTER TABLE keeper_away RENAME TO ${table}`)
      }
      expect(storage.deletions.size).toBe(0)
    })
  })

  it.runIf(database.name === 'SQLite')(
    'does not lose its claim to a transaction that is rolled back on the connection',
    async () => {
      const file = await world.upload()
      await world.manager.delete(FileJournalEntry, { key: file.key })
      await noted({ key: file.key })
      const runner = world.dataSource.createQueryRunner()
      await runner.startTransaction()
      const running = run()
      await new Promise((resolve) => setTimeout(resolve, 20))
      await runner.rollbackTransaction()
      expect(await running).toEqual({ ...nothing, deleted: 1 })
      await world.expectTruth()
    },
  )

  it('takes as many as batchSize at once, and reports after each', async () => {
    configureStorages({ default: new CountingStorage() })
    await noted(...keysOf(5).map((key) => ({ key })))
    const reports: JanitorReport[] = []
    await run({ batchSize: 2, onProgress: (report) => reports.push(report) })
    expect(reports.map(({ deleted }) => deleted)).toEqual([2, 4, 5])
  })

  it('takes the oldest first, and ends after a batch when it is told to', async () => {
    configureStorages({ default: new CountingStorage() })
    const dueAt = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
    await noted(...[1, 3, 2].map((minutes) => ({ key: `${minutes}`, dueAt: dueAt(minutes) })))
    const stop = new AbortController()
    const janitor = new FileJanitor(world.dataSource, { batchSize: 2, onProgress: () => stop.abort() })
    expect(await janitor.runOnce(stop.signal)).toMatchObject({ deleted: 2 })
    expect(await world.entries()).toMatchObject([{ key: '1' }])
  })

  describe('that is started', () => {
    it('runs at once, and until it is stopped', async () => {
      configureStorages({ default: new CountingStorage() })
      await noted({ key: 'a' })
      const janitor = new FileJanitor(world.dataSource)
      janitor.start()
      janitor.start()
      await expect.poll(() => world.entries(), { interval: 10 }).toEqual([])
      await janitor.stop()
      await noted({ key: 'b' })
      janitor.start()
      await expect.poll(() => world.entries(), { interval: 10 }).toEqual([])
      await janitor.stop()
      await janitor.stop()
    })

    it.each(['throws', 'rejects'] as const)(
      'goes on when onProgress or onError %s, and the process gets a warning',
      async (how) => {
        const storage = new CountingStorage()
        configureStorages({ default: storage })
        const warnings: string[] = []
        const onWarning = ({ message }: Error) => warnings.push(message)
        process.on('warning', onWarning)
        const fail = () => {
          if (how === 'rejects') return Promise.reject(new Error('the callback failed'))
          throw new Error('the callback failed')
        }
        await noted(...keysOf(3).map((key) => ({ key })))
        const janitor = new FileJanitor(world.dataSource, {
          batchSize: 2,
          intervalSeconds: 1,
          onProgress: fail as () => void,
          onError: fail as () => void,
        })
        const { createQueryRunner } = world.dataSource
        janitor.start()
        await expect.poll(() => world.entries(), { interval: 10 }).toEqual([])
        world.dataSource.createQueryRunner = () => {
          throw new Error('the database is away')
        }
        await expect
          .poll(() => warnings.some((message) => message.includes('onError')), { timeout: 5000 })
          .toBe(true)
        world.dataSource.createQueryRunner = createQueryRunner
        await noted({ key: 'later' })
        await expect.poll(() => world.entries(), { interval: 10, timeout: 5000 }).toEqual([])
        await janitor.stop()
        process.off('warning', onWarning)
        expect(warnings).toContain('onProgress of the file janitor failed: Error: the callback failed')
        expect(storage.deletions.size).toBe(4)
      },
    )

    it('has finished its batch when stop() resolves', async () => {
      configureStorages({ default: new CountingStorage() })
      await noted(...keysOf(4).map((key) => ({ key })))
      const stopped: Promise<void>[] = []
      const janitor = new FileJanitor(world.dataSource, {
        batchSize: 2,
        onProgress: () => stopped.push(janitor.stop()),
      })
      janitor.start()
      await expect.poll(() => stopped.length, { interval: 5 }).toBe(1)
      await Promise.all(stopped)
      expect((await world.entries()).map(({ claimedBy }) => claimedBy)).toEqual([null, null])
    })
  })
})

describe('a janitor', () => {
  it('refuses options it does not know', () => {
    expect(() => new FileJanitor({} as never, { batchsize: 1 } as never)).toThrow(/'batchSize'/)
    expect(() => new FileJanitor({} as never, { batchSize: 1001 })).toThrow(/batchSize/)
  })

  it('refuses a time to keep objects for that no date can hold', () => {
    expect(() => new FileJanitor({} as never, { deleteAfterSeconds: 315_360_001 })).toThrow(
      /deleteAfterSeconds/,
    )
  })

  it('refuses an interval that a timer takes for none at all, and would work without a pause', () => {
    expect(() => new FileJanitor({} as never, { intervalSeconds: 2_147_484 })).toThrow(
      "option 'intervalSeconds' takes an integer from 1 to 2147483, not 2147484",
    )
    new FileJanitor({} as never, { intervalSeconds: 2_147_483 })
  })
})

describe.each(settings.filter(({ hasJournal }) => !hasJournal))('without a journal on $name', (setting) => {
  it('says what is missing, also to onError', async () => {
    const world = await LifecycleWorld.start({ ...setting, entities: [Paper] })
    const error = { code: 'invalid-option', message: expect.stringContaining('FileJournalEntry') }
    const failures: unknown[] = []
    const janitor = new FileJanitor(world.dataSource, { onError: (failure) => failures.push(failure) })
    await expect(janitor.runOnce()).rejects.toMatchObject(error)
    janitor.start()
    await expect.poll(() => failures, { interval: 5 }).toMatchObject([error])
    await janitor.stop()
    await world.stop()
  })
})
