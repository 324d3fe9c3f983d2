import { DataSource, type DataSourceOptions, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class Pooled {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity('another_journal')
class AnotherJournal extends FileJournalEntry {}

const { databaseUrl } = inject('servers')

describe('two DataSources with a journal', () => {
  let world: S3World
  let requests: DataSource
  let opened: DataSource[] = []
  const open = async (options: object = {}) => {
    const dataSource = new DataSource({
      ...dataSourceOptions(databaseUrl),
      entities: [Pooled, FileJournalEntry],
      subscribers: [S3FileSubscriber],
      ...options,
    } as DataSourceOptions)
    await dataSource.initialize()
    opened.push(dataSource)
    return dataSource
  }
  beforeAll(async () => {
    world = await S3World.start()
    requests = await open({ synchronize: true, dropSchema: true })
    opened = []
  })
  afterEach(async () => {
    await filesSettled()
    for (const dataSource of opened.splice(0)) await dataSource.destroy()
    await requests.manager.clear(Pooled)
    await requests.manager.clear(FileJournalEntry)
    await world.clear()
  })
  afterAll(async () => {
    await requests.destroy()
    await world.stop()
  })

  const upload = () => uploadFromStream(Buffer.from('a'), { into: [Pooled, 'file'], name: 'a.txt' })
  const entries = () => requests.getRepository(FileJournalEntry).find()

  async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
    const warnings: string[] = []
    const onWarning = (warning: Error & { code?: string }) => {
      if (warning.code === 'S3FILE_JOURNALS') warnings.push(warning.message)
    }
    process.on('warning', onWarning)
    await work()
    await new Promise(setImmediate)
    process.off('warning', onWarning)
    return warnings
  }

  it('on one database are one journal: uploads find it, and each of them saves their files', async () => {
    const url = new URL(databaseUrl)
    // The same place, named in other words.
    const { url: _, ...options } = dataSourceOptions(databaseUrl) as { url?: string }
    let jobs = requests
    expect(
      await warningsOf(async () => {
        jobs = await open({
          ...options,
          url: undefined,
          host: url.hostname,
          port: Number(url.port),
          username: url.username,
          password: url.password,
          database: url.pathname.slice(1),
        })
      }),
    ).toEqual([])
    for (const { manager } of [requests, jobs]) {
      const row = await manager.save(Object.assign(new Pooled(), { file: await upload() }))
      expect(await entries()).toEqual([])
      await manager.remove(row)
      await filesSettled()
    }
    expect(await world.keys()).toEqual([])
    expect(await entries()).toEqual([])
  })

  it('on one database: a rollback in one deletes an upload that the other has noted', async () => {
    const jobs = await open()
    const file = await upload()
    await expect(
      jobs.transaction(async (manager) => {
        await manager.save(Object.assign(new Pooled(), { file }))
        throw new Error('back')
      }),
    ).rejects.toThrow('back')
    await filesSettled()
    expect(await world.keys()).toEqual([])
    expect(await entries()).toEqual([])
  })

  it('on one database: discard() deletes an upload and its entry', async () => {
    await open()
    await (await upload()).discard()
    expect(await world.keys()).toEqual([])
    expect(await entries()).toEqual([])
  })

  it.each([
    ['another database', { type: 'sqljs', synchronize: true, entities: [Pooled, FileJournalEntry] }],
    ['another table of the same database', { entities: [Pooled, AnotherJournal] }],
  ])(
    'in %s are two: initialize() warns with the field, and an upload has to name one',
    async (_, options) => {
      const warnings = await warningsOf(() => open(options))
      expect(warnings).toEqual([
        expect.stringContaining('a file journal have Pooled.file: uploads into these fields'),
      ])
      await expect(upload()).rejects.toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining("'journal': fileJournal(dataSource)"),
      })
    },
  )

  it('that share no field say nothing of each other', async () => {
    const options = { type: 'sqljs', entities: [FileJournalEntry] }
    expect(await warningsOf(() => open(options))).toEqual([])
    await (await upload()).discard()
  })
})
