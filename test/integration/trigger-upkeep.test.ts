import {
  Column,
  DataSource,
  type DataSourceOptions,
  Entity,
  type EntityTarget,
  ManyToOne,
  type ObjectLiteral,
  PrimaryGeneratedColumn,
  type QueryRunner,
  type Relation,
} from 'typeorm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { fileJournal } from '../../src/orm/file-journal.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { createFileTriggers, dropFileTriggers, fileTriggers } from '../../src/orm/file-triggers.ts'
import { forgetTriggers, triggersOf } from '../../src/orm/installed-triggers.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { Album, Paper, Picture, Stack } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings, settingsWithJournal } from '../support/lifecycle-world.ts'
import { dataSourceOptions } from '../support/servers.ts'
import { ColumnsWay, JsonWay, KeyWay, TextWay, type Way } from '../support/way-entities.ts'

@Entity('kept_up')
class OneFile {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true }) first!: S3File | null
}

@Entity('kept_up')
class TwoFiles extends OneFile {
  @S3FileField({ nullable: true, layout: 'columns' }) second!: S3File | null
}

@Entity('kept_up')
class NoFile {
  @PrimaryGeneratedColumn() id!: number
  @Column({ type: 'varchar', length: 10, nullable: true }) title!: string | null
}

@Entity('cascade_parent')
class CascadeParent {
  @PrimaryGeneratedColumn() id!: number
}

@Entity('cascade_child')
class CascadeChild {
  @PrimaryGeneratedColumn() id!: number
  @ManyToOne(() => CascadeParent, { onDelete: 'CASCADE' }) parent!: Relation<CascadeParent>
  @S3FileField({ nullable: true }) file!: S3File | null
}

const ways = [JsonWay, TextWay, ColumnsWay, KeyWay] as const

describe.each(settingsWithJournal)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  const entities = [...ways, Paper, Stack, Album, Picture]
  const withTriggers = [...ways, Stack]
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal, entities })
    for (const entity of withTriggers) await onRunner((runner) => createFileTriggers(runner, entity))
  })
  afterAll(async () => {
    for (const entity of withTriggers) await onRunner((runner) => dropFileTriggers(runner, entity))
    await world.stop()
  })
  afterEach(() => world.clear())

  const onRunner = async (work: (runner: QueryRunner) => Promise<unknown>, on = world.dataSource) => {
    const runner = on.createQueryRunner()
    await work(runner).finally(() => runner.release())
  }
  const state = async (target: EntityTarget<ObjectLiteral>, on = world.dataSource) => {
    const runner = on.createQueryRunner()
    forgetTriggers(on)
    return triggersOf(runner, on.getMetadata(target)).finally(() => runner.release())
  }
  const bound = (sql: string, values: ObjectLiteral) =>
    world.dataSource.query(...world.dataSource.driver.escapeQueryWithParameters(sql, values))
  /** Sets the columns of a file by raw SQL, as another program would. */
  async function setByHand(Class: new () => Way, id: number, file: S3File | null): Promise<void> {
    const metadata = world.dataSource.getMetadata(Class)
    const { driver } = world.dataSource
    const record = file?.toRecord()
    const own = metadata.columns.filter(({ propertyPath }) => propertyPath.startsWith('file'))
    const values = Object.fromEntries(
      own.map((column, index) => [
        `v${index}`,
        column.embeddedMetadata === undefined
          ? record && (Class === KeyWay ? record.key : JSON.stringify(record))
          : record?.[column.propertyName as 'key'],
      ]),
    )
    const sets = own.map(({ databaseName }, index) => `${driver.escape(databaseName)} = :v${index}`)
    for (const name of Object.keys(values)) values[name] ??= null as never
    await bound(`UPDATE ${driver.escape(metadata.tableName)} SET ${sets.join(', ')} WHERE id = :id`, {
      ...values,
      id,
    })
  }
  const later = (file: S3File) => world.manager.findBy(FileJournalEntry, { key: file.key })

  describe.each(ways.map((Class) => [Class.name, Class] as const))('raw SQL that writes %s', (_, Class) => {
    it('takes an upload: it is pending no more', async () => {
      const file = await world.upload('a')
      const { id } = await world.manager.save(Object.assign(new Class(), { file: null }))
      expect(await later(file)).toHaveLength(1)
      await setByHand(Class, id, file)
      expect(await later(file)).toEqual([])
      await world.workOffJournal()
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
    })

    it('takes back a released object, which then stays', async () => {
      const Later = S3FileSubscriber.with({ deleteAfterSeconds: 60 })
      const row = await world.manager.save(Object.assign(new Class(), { file: await world.upload('a') }))
      const file = row.file as S3File
      await world.withSubscribers([new Later()], () => world.manager.save(Object.assign(row, { file: null })))
      expect(await later(file)).toHaveLength(1)
      await setByHand(Class, row.id, file)
      await world.workOffJournal()
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
    })

    it('is refused when a janitor has taken the object', async () => {
      const file = await world.upload('a')
      const { id } = await world.manager.save(Object.assign(new Class(), { file: null }))
      const until = new Date(Date.now() + 60_000).toISOString()
      await world.manager.update(FileJournalEntry, { key: file.key }, { claimedUntil: until, claimedBy: 'x' })
      await expect(setByHand(Class, id, file)).rejects.toThrow(
        's3file: an object of this statement is being deleted',
      )
      expect(await world.rowKeys()).toEqual([])
      await world.manager.update(FileJournalEntry, { key: file.key }, { claimedUntil: null, claimedBy: null })
      await file.discard()
      await world.expectTruth()
    })

    it('copies a file by INSERT … SELECT, which both rows then keep', async () => {
      const row = await world.manager.save(Object.assign(new Class(), { file: await world.upload('a') }))
      const metadata = world.dataSource.getMetadata(Class)
      const names = metadata.columns
        .filter(({ propertyPath }) => propertyPath.startsWith('file'))
        .map(({ databaseName }) => world.dataSource.driver.escape(databaseName))
        .join(', ')
      const table = world.dataSource.driver.escape(metadata.tableName)
      await world.dataSource.query(`INSERT INTO ${table} (${names}) SELECT ${names} FROM ${table}`)
      await world.manager.remove(row)
      await filesSettled()
      await world.workOffJournal()
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })
  })

  it('an element that comes into a list is pending no more, and one that was there before is not looked at', async () => {
    const [a, b] = [await world.upload('a'), await world.upload('b')]
    const { id } = await world.saved(Stack, { files: [a] })
    const until = new Date(Date.now() + 60_000).toISOString()
    await world.manager.insert(FileJournalEntry, {
      ...{
        id: 'x',
        reason: 'release',
        storage: 'default',
        key: a.key,
        since: until,
        dueAt: until,
        attempts: 0,
      },
      claimedUntil: until,
    })
    const records = JSON.stringify([a, b].map((file) => file.toRecord()))
    await bound('UPDATE stack SET files = :records WHERE id = :id', { records, id })
    expect(await later(b)).toEqual([])
    await world.manager.delete(FileJournalEntry, { id: 'x' })
    await world.expectTruth()
  })

  it.runIf(['PGlite', 'PostgreSQL'].includes(database.name))(
    'TRUNCATE is refused in a transaction that may not see all rows',
    async () => {
      await world.saved(JsonWay, { file: await world.upload('a') })
      const truncating = world.dataSource.transaction('REPEATABLE READ', (manager) => manager.clear(JsonWay))
      await expect(truncating).rejects.toThrow('s3file: TRUNCATE would lose files')
      await world.dataSource.transaction('READ COMMITTED', (manager) => manager.clear(JsonWay))
      await world.workOffJournal()
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    },
  )

  describe('triggers that do not fit the entity', () => {
    const connect = async (entity: object, options: Partial<DataSourceOptions> = {}) =>
      world.connect({ entities: [entity, FileJournalEntry], synchronize: false, ...options })
    /** SQLite's database is its DataSource's own. */
    const other = async (entity: object, synchronize: boolean) => {
      if (database.name !== 'SQLite') return connect(entity, { synchronize } as never)
      const next = new DataSource({
        ...dataSourceOptions(database.url),
        entities: [entity, FileJournalEntry],
        subscribers: [S3FileSubscriber],
        synchronize,
        database: exported,
      } as never)
      return next.initialize()
    }
    let exported: unknown
    const end = async (dataSource: DataSource) => {
      if (database.name === 'SQLite')
        exported = (dataSource.driver as never as { export(): unknown }).export()
      await dataSource.destroy()
    }

    beforeEach(async () => {
      exported = undefined
      vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
      const first = await other(OneFile, true)
      await onRunner((runner) => createFileTriggers(runner, OneFile), first)
      expect(await state(OneFile, first)).toBe('complete')
      await end(first)
    })
    afterEach(async () => {
      vi.restoreAllMocks()
      if (database.name !== 'SQLite') await world.dataSource.query('DROP TABLE IF EXISTS kept_up')
    })

    it('are outdated when a second file field has come, and saves do without them', async () => {
      const second = await other(TwoFiles, false)
      await onRunner(async (runner) => {
        for (const column of second
          .getMetadata(TwoFiles)
          .columns.filter(({ propertyPath }) => /^second/.test(propertyPath))) {
          const type = second.driver.normalizeType(column)
          const full = type === 'varchar' || type === 'character varying' ? 'varchar(255)' : type
          await runner.query(
            `ALTER TABLE kept_up ADD COLUMN ${second.driver.escape(column.databaseName)} ${full} NULL`,
          )
        }
      }, second)
      expect(await state(TwoFiles, second)).toBe('outdated')
      expect(process.emitWarning).toHaveBeenCalledWith(
        expect.stringContaining('await createFileTriggers(queryRunner, TwoFiles)'),
        expect.objectContaining({ code: 'S3FILE_TRIGGERS' }),
      )
      const files = ['a', 'b', 'c'].map((text) => world.upload(text, { journal: fileJournal(second) }))
      const [first, old, next] = (await Promise.all(files)) as [S3File, S3File, S3File]
      const row = await second.manager.save(Object.assign(new TwoFiles(), { first, second: old }))
      await second.manager.save(Object.assign(row, { second: next }))
      await filesSettled()
      expect(await Promise.all([first, old, next].map((file) => file.exists()))).toEqual([true, false, true])
      await second.manager.remove(row)
      await filesSettled()
      expect(await second.manager.find(FileJournalEntry)).toEqual([])
      await onRunner((runner) => createFileTriggers(runner, TwoFiles), second)
      expect(await state(TwoFiles, second)).toBe('complete')
      await end(second)
    })

    it('are outdated when one of them is dropped', async () => {
      const one = await other(OneFile, false)
      const { down } = fileTriggers(one, OneFile)
      const drop = down.find((statement) => statement.includes('s3file_update_')) as string
      await onRunner((runner) => runner.query(drop), one)
      expect(await state(OneFile, one)).toBe('outdated')
      await end(one)
    })

    it('are made anew by synchronize', async () => {
      const second = await other(TwoFiles, true)
      // SQLite makes the table anew to change it, and nothing tells that it had triggers.
      expect(await state(TwoFiles, second)).toBe(database.name === 'SQLite' ? 'none' : 'complete')
      await end(second)
    })

    it.skipIf(['PGlite', 'PostgreSQL'].includes(database.name))(
      'are dropped by synchronize with the last file column, so that statements go on',
      async () => {
        const none = await other(NoFile, true)
        const { id } = await none.manager.save(Object.assign(new NoFile(), { title: 'a' }))
        await none.manager.update(NoFile, id, { title: 'b' })
        await none.manager.delete(NoFile, id)
        await end(none)
      },
    )

    it('are found under the names of a table that was renamed, and made anew', async () => {
      const one = await other(OneFile, false)
      await one.query('ALTER TABLE kept_up RENAME TO kept_up_before')
      await one.query('ALTER TABLE kept_up_before RENAME TO kept_up')
      await onRunner((runner) => createFileTriggers(runner, OneFile), one)
      expect(await state(OneFile, one)).toBe('complete')
      await end(one)
    })
  })
})

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  afterEach(() => vi.restoreAllMocks())

  it('initialize() warns of a cascade of the database that takes files along, unless triggers see it', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const warnings = () =>
      warn.mock.calls.filter(
        ([, options]) => (options as { code?: string } | undefined)?.code === 'S3FILE_CASCADE',
      )
    const entities = [CascadeParent, CascadeChild]
    const world = await LifecycleWorld.start({ database, hasJournal, entities })
    expect(warnings()).toEqual([[expect.stringContaining('CascadeParent'), expect.anything()]])
    warn.mockClear()
    if (hasJournal && database.name !== 'SQLite') {
      const runner = world.dataSource.createQueryRunner()
      await createFileTriggers(runner, CascadeChild)
      await (await world.connect()).destroy()
      expect(warnings()).toEqual([])
      await dropFileTriggers(runner, CascadeChild)
      await runner.release()
    }
    await world.stop()
  })

  it('clear() warns that it leaves objects behind', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const world = await LifecycleWorld.start({ database, hasJournal, entities: [Paper] })
    await world.manager.clear(Paper)
    expect(warn.mock.calls).toEqual([
      [expect.stringContaining('(clear)'), expect.objectContaining({ code: 'S3FILE_BULK_WRITE' })],
    ])
    await world.stop()
  })
})
