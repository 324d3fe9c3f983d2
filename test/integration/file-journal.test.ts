import { Readable } from 'node:stream'
import { DataSource, type EntitySubscriberInterface } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { fileJournal } from '../../src/orm/register-journals.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { lifecycleEntities, Paper, Stack, Witness } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settingsWithJournal } from '../support/lifecycle-world.ts'
import { S3World } from '../support/s3-world.ts'

const mebibyte = 1024 * 1024

describe.each(settingsWithJournal)('the file journal on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  const saved = async (text = 'old') => world.saved(Paper, { file: await world.upload(text) })

  /** A DataSource of its own, in memory. */
  const other = (options: { hasJournal: boolean; entities?: (typeof Paper | typeof Stack)[] }) =>
    new DataSource({
      type: 'sqljs',
      entities: [
        ...(options.entities ?? lifecycleEntities),
        ...(options.hasJournal ? [FileJournalEntry] : []),
      ],
      subscribers: [S3FileSubscriber],
      synchronize: true,
    }).initialize()

  describe('an upload', () => {
    it('is noted before its first byte is sent, and until a row refers to it', async () => {
      let noted: FileJournalEntry[] = []
      class WatchedStorage extends S3Storage {
        override async put(...args: Parameters<S3Storage['put']>) {
          noted = await world.entries()
          return super.put(...args)
        }
      }
      const { bucket } = S3World.server
      configureStorages({
        default: new WatchedStorage({ bucket, client: world.s3.client, keyPrefix: world.s3.prefix }),
      })
      const file = await world.upload()
      configureStorages({ default: world.s3.storage })
      expect(noted).toMatchObject([
        {
          reason: 'upload',
          storage: 'default',
          key: file.key,
          uploadId: null,
          claimedUntil: null,
          attempts: 0,
        },
      ])
      expect(Date.parse(noted[0]?.dueAt as string) - Date.parse(noted[0]?.since as string)).toBe(86_400_000)
      expect(await world.entries()).toEqual(noted)
      await world.saved(Paper, { file })
      await world.expectTruth()
    })

    it('has the id of its multipart upload while its parts are sent', async () => {
      let noted: FileJournalEntry[] = []
      async function* parts() {
        yield Buffer.alloc(6 * mebibyte)
        await expect.poll(() => world.s3.proxy.countOf('UploadPart'), { interval: 5 }).toBeGreaterThan(0)
        noted = await world.entries()
        yield Buffer.alloc(mebibyte)
      }
      const file = await uploadFromStream(parts())
      const [uploadId] = world.s3.proxy.requests.flatMap(({ operation, uploadId }) =>
        operation === 'UploadPart' ? [uploadId] : [],
      )
      expect(uploadId).toEqual(expect.any(String))
      expect(noted).toMatchObject([{ reason: 'upload', key: file.key, uploadId }])
      await world.saved(Paper, { file })
      await world.expectTruth()
    })

    it.each([
      [
        'its source fails',
        Readable.from(
          (function* () {
            yield Buffer.from('a')
            throw new Error('no')
          })(),
        ),
        {},
      ],
      ['it is too large', Buffer.alloc(11), { maxSizeBytes: 10 }],
      ['it is not of the length it was said to have', Buffer.alloc(11), { sizeBytes: 12 }],
    ])('leaves no entry when %s', async (_, source, options) => {
      await expect(uploadFromStream(source, options)).rejects.toThrow()
      await world.expectTruth()
    })

    it('leaves no entry when S3 refuses it', async () => {
      world.s3.proxy.inject({ on: 'PutObject', kind: 'accessDenied' })
      await expect(world.upload()).rejects.toMatchObject({ code: 'storage-refused' })
      await world.expectTruth()
    })

    it('leaves its entry when it cannot be aborted, and the janitor aborts it', async () => {
      world.s3.proxy.inject(
        { on: 'UploadPart', kind: 'accessDenied', times: 10 },
        { on: 'AbortMultipartUpload', kind: 'accessDenied', times: 10 },
      )
      await expect(uploadFromStream(Buffer.alloc(8 * mebibyte))).rejects.toMatchObject({
        code: 'storage-refused',
      })
      expect(await world.entries()).toMatchObject([{ reason: 'upload', uploadId: expect.any(String) }])
      world.s3.proxy.reset()
      await world.workOffJournal()
      await world.expectTruth()
      expect(await world.s3.openUploads()).toEqual([])
    })

    it('takes its entry with it when it is discarded', async () => {
      const file = await world.upload()
      await file.discard()
      await world.expectTruth()
      await expect(world.saved(Paper, { file })).rejects.toMatchObject({ code: 'file-gone' })
    })

    it('fails before its first byte when the journal cannot be written', async () => {
      const journal = {
        open: () => Promise.reject(new Error('away')),
      }
      await expect(world.upload('a', { journal })).rejects.toThrow('away')
      expect(world.s3.proxy.requests.filter(({ operation }) => !operation.startsWith('List'))).toEqual([])
    })

    it('cannot be saved once a janitor has taken its entry, and the save leaves nothing', async () => {
      const [file, row] = [await world.upload(), await saved()]
      await world.workOffJournal()
      expect(await file.exists()).toBe(false)
      for (const save of [
        () => world.saved(Paper, { file }),
        () => world.manager.save(Object.assign(row, { file })),
        () => world.saved(Stack, { files: [file] }),
      ]) {
        await expect(save()).rejects.toMatchObject({ code: 'file-gone' })
      }
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('cannot be saved while a janitor has its entry, either', async () => {
      const file = await world.upload()
      await world.age(10 * 86_400)
      world.s3.proxy.delayMs = 100
      const running = new FileJanitor(world.dataSource).runOnce()
      await expect.poll(() => world.s3.proxy.countOf('DeleteObjects'), { interval: 1 }).toBe(1)
      await expect(world.saved(Paper, { file })).rejects.toMatchObject({ code: 'file-gone' })
      await running
      await world.expectTruth()
    })

    it('is kept by the janitor when a row refers to it that nobody told of', async () => {
      const file = await world.upload()
      const { id } = await world.saved(Paper, { file: null })
      const values = { id, file: JSON.stringify(file.toRecord()) }
      await world.query('UPDATE paper SET file = :file WHERE id = :id', values)
      expect(await world.entries()).toHaveLength(1)
      await world.workOffJournal()
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
    })
  })

  describe('where there are several DataSources', () => {
    it("refuses a file of another one's journal, and the save leaves nothing", async () => {
      const stranger = await other({ hasJournal: true })
      try {
        await expect(world.upload()).rejects.toMatchObject({
          code: 'invalid-option',
          message: expect.stringContaining("'journal': fileJournal(dataSource)"),
        })
        const [mine, theirs] = [
          await world.upload('1', { journal: fileJournal(world.dataSource) }),
          await world.upload('2', { journal: fileJournal(stranger) }),
        ]
        const row = Object.assign(new Paper(), { file: theirs })
        await expect(world.manager.save(row)).rejects.toMatchObject({ code: 'invalid-value' })
        expect(await world.rows()).toEqual([])
        await stranger.manager.save(row)
        await world.manager.save(Object.assign(new Paper(), { file: mine }))
        expect(await world.entries()).toEqual([])
        expect(await stranger.manager.find(FileJournalEntry)).toEqual([])
        await stranger.manager.remove(row)
      } finally {
        await stranger.destroy()
      }
      await world.expectTruth()
    })

    it('refuses a file of a journal for a DataSource without one: the journal would delete it', async () => {
      const stranger = await other({ hasJournal: false })
      try {
        const file = await world.upload()
        const row = Object.assign(new Paper(), { file })
        await expect(stranger.manager.save(row)).rejects.toMatchObject({ code: 'invalid-value' })
        expect(await stranger.manager.count(Paper)).toBe(0)
        await expect(stranger.manager.insert(Paper, { file })).rejects.toMatchObject({
          code: 'invalid-value',
        })
        await world.manager.save(row)
      } finally {
        await stranger.destroy()
      }
      await world.expectTruth()
    })

    it("goes by the field of 'into' where only one of them knows it", async () => {
      const stranger = await other({ hasJournal: true, entities: [Stack] })
      try {
        await world.saved(Paper, {
          file: await uploadFromStream(Buffer.from('a'), { into: [Paper, 'file'] }),
        })
      } finally {
        await stranger.destroy()
      }
      await world.expectTruth()
    })
  })

  describe('while S3 is down', () => {
    /** The clean-up fails as often as it tries. */
    const takeDown = () => world.s3.proxy.inject({ on: 'DeleteObjects', kind: 'accessDenied', times: 100 })

    it('saves, tells onCleanupError, and keeps the entry for a later run of the janitor', async () => {
      const failures: unknown[] = []
      const Told = S3FileSubscriber.with({
        onCleanupError: (error, object) => failures.push([error, object]),
      })
      const row = await saved()
      const { key } = row.file
      Object.assign(row, { file: await world.upload('new') })
      takeDown()
      await world.withSubscribers([new Told()], async () => {
        await world.manager.save(row)
        await filesSettled()
      })
      expect(failures).toEqual([
        [expect.objectContaining({ code: 'storage-refused' }), { storage: 'default', key }],
      ])
      const [entry] = await world.entries()
      expect(entry).toMatchObject({
        reason: 'release',
        key,
        attempts: 1,
        lastError: expect.stringContaining('AccessDenied'),
        claimedBy: null,
      })
      expect(await new FileJanitor(world.dataSource).runOnce()).toMatchObject({ deleted: 0, failed: 0 })
      world.s3.proxy.reset()
      await world.age(31)
      expect(await new FileJanitor(world.dataSource).runOnce()).toMatchObject({ deleted: 1, failed: 0 })
      await world.expectTruth()
    })

    it('waits twice as long after each failure, a day at most', async () => {
      await world.manager.remove(await saved())
      await filesSettled()
      const row = await saved()
      takeDown()
      await world.withSubscribers([new S3FileSubscriber({ onCleanupError: () => undefined })], async () => {
        await world.manager.remove(row)
        await filesSettled()
      })
      const waits: number[] = []
      for (let attempt = 1; attempt <= 14; attempt++) {
        const [entry] = await world.entries()
        expect(entry?.attempts).toBe(attempt)
        const { dueAt, claimedUntil } = entry as FileJournalEntry
        waits.push((Date.parse(dueAt) - Date.parse(claimedUntil as string)) / 1000)
        await world.age(86_400)
        await new FileJanitor(world.dataSource).runOnce()
      }
      expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 30720, 61440, 86400, 86400])
    })

    it('lets the objects of others go', async () => {
      const first = await saved('1')
      takeDown()
      await world.withSubscribers([new S3FileSubscriber({ onCleanupError: () => undefined })], async () => {
        await world.manager.remove(first)
        await filesSettled()
      })
      world.s3.proxy.reset()
      await world.manager.remove(await saved('2'))
      await filesSettled()
      expect(await world.entries()).toHaveLength(1)
      expect(await world.s3.keys()).toHaveLength(1)
    })

    const throwing = () => {
      throw new Error('mine')
    }
    it.each([
      ['throws', throwing],
      ['rejects', async () => throwing()],
    ])('survives an onCleanupError that %s', async (_how, onCleanupError) => {
      const row = await saved()
      takeDown()
      const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
      await world.withSubscribers([new S3FileSubscriber({ onCleanupError })], async () => {
        await world.manager.remove(row)
        await filesSettled()
      })
      expect((await warned).message).toContain('onCleanupError failed: Error: mine')
      world.s3.proxy.reset()
      await world.workOffJournal()
      await world.expectTruth()
    })
  })

  describe('with deleteAfterSeconds', () => {
    const week = 7 * 86_400
    const keeping = () => [new S3FileSubscriber({ deleteAfterSeconds: week })] as EntitySubscriberInterface[]
    const run = () => new FileJanitor(world.dataSource).runOnce()

    it('keeps what a row let go for that long', async () => {
      const row = await saved()
      const { file } = row
      await world.withSubscribers(keeping(), async () => {
        await world.manager.remove(row)
        await filesSettled()
        expect(await run()).toMatchObject({ deleted: 0 })
        await world.age(week - 60)
        expect(await run()).toMatchObject({ deleted: 0 })
        expect(await file.exists()).toBe(true)
        await world.age(60)
        expect(await run()).toMatchObject({ deleted: 1 })
      })
      await world.expectTruth()
    })

    it('lets a file come back in the meantime, and keeps it', async () => {
      const row = await saved()
      const { file } = row
      await world.withSubscribers(keeping(), async () => {
        await world.manager.save(Object.assign(row, { file: null }))
        await world.manager.save(Object.assign(row, { file }))
        await world.age(week)
        expect(await run()).toMatchObject({ deleted: 0, kept: 0 })
      })
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
    })

    it('deletes at once what was never saved', async () => {
      const file = await world.upload()
      await world.withSubscribers(keeping(), async () => {
        const failing = world.dataSource.transaction(async (manager) => {
          await manager.save(Object.assign(new Paper(), { file }))
          throw new Error('no')
        })
        await expect(failing).rejects.toThrow('no')
      })
      await world.expectTruth()
    })

    it('keeps the entry of an object whose key differs from that of a file in case alone', async () => {
      const [upper, lower] = [
        await world.upload('1', { key: () => 'Same/Name.txt' }),
        await world.upload('2', { key: () => 'same/name.txt' }),
      ]
      const row = await world.saved(Witness, { file: upper })
      await world.saved(Paper, { file: lower })
      await world.withSubscribers(keeping(), async () => {
        await world.manager.remove(row)
        await world.saved(Stack, { files: [lower] })
      })
      expect(await world.entries()).toMatchObject([{ key: upper.key }])
      await world.workOffJournal()
      await world.expectTruth()
    })
  })

  it('refuses to commit a row whose upload was discarded meanwhile', async () => {
    const file = await world.upload()
    let discarding: Promise<void> | undefined
    const saving = world.dataSource.transaction(async (manager) => {
      await manager.save(Object.assign(new Paper(), { file }))
      discarding = file.discard() // It waits for the transaction, which has the entry.
    })
    await expect(saving).rejects.toMatchObject({ code: 'file-gone' })
    await discarding
    await world.expectTruth()
  })

  it.runIf(database.name === 'SQLite')(
    'has an upload also when the transactions on its connection are rolled back, SQLite having one for all',
    async () => {
      await world.dataSource
        .transaction(async (outer) => {
          await outer
            .transaction(async () => {
              await world.upload('inner')
              throw new Error('inner')
            })
            .catch(() => undefined)
          await world.upload('outer')
          throw new Error('outer')
        })
        .catch(() => undefined)
      expect((await world.entries()).map(({ key }) => key.split('/').at(-1)).sort()).toEqual([
        'inner.txt',
        'outer.txt',
      ])
      await world.workOffJournal()
      await world.expectTruth()
    },
  )
})
