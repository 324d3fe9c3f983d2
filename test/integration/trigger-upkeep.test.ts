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
import { checkWiring } from '../../src/orm/check-wiring.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { createFileTriggers, dropFileTriggers, fileTriggers } from '../../src/orm/file-triggers.ts'
import { compareTriggers, forgetTriggers } from '../../src/orm/installed-triggers.ts'
import { fileJournal } from '../../src/orm/register-journals.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { warnOfUncoveredCascades } from '../../src/orm/warn-of-cascades.ts'
import { Album, Paper, Picture, Stack } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings, settingsWithJournal } from '../support/lifecycle-world.ts'
import { dataSourceOptions } from '../support/servers.ts'
import { WatchedBook, WatchedPage, WatchedShelf } from '../support/trigger-entities.ts'
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

/** The same table under another name. */
@Entity('kept_up_renamed')
class RenamedFile extends OneFile {}

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
    const { state } = await compareTriggers(runner, on.getMetadata(target)).finally(() => runner.release())
    return state
  }
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
    await world.query(`UPDATE ${driver.escape(metadata.tableName)} SET ${sets.join(', ')} WHERE id = :id`, {
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
    await world.query('UPDATE stack SET files = :records WHERE id = :id', { records, id })
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
    const connect = async (entities: object[], options: Partial<DataSourceOptions> = {}) =>
      world.connect({ entities: [...entities, FileJournalEntry], synchronize: false, ...options })
    const warnings = (code: string) =>
      vi
        .mocked(process.emitWarning)
        .mock.calls.filter(([, options]) => (options as { code?: string } | undefined)?.code === code)
        .map(([message]) => message)
    /** SQLite's database is its DataSource's own. */
    const other = async (entity: object, synchronize: boolean) => {
      const entities = [entity].flat()
      if (database.name !== 'SQLite') return connect(entities, { synchronize } as never)
      const next = new DataSource({
        ...dataSourceOptions(database.url),
        entities: [...entities, FileJournalEntry],
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
      if (database.name !== 'SQLite')
        for (const name of ['kept_up', 'kept_up_renamed'])
          await world.dataSource.query(`DROP TABLE IF EXISTS ${name}`)
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
      const files = ['a', 'b', 'c'].map((text) => world.upload(text, { journal: fileJournal(second) }))
      const [first, old, next] = (await Promise.all(files)) as [S3File, S3File, S3File]
      const row = await second.manager.save(Object.assign(new TwoFiles(), { first, second: old }))
      await second.manager.save(Object.assign(row, { second: next }))
      await filesSettled()
      expect(await Promise.all([first, old, next].map((file) => file.exists()))).toEqual([true, false, true])
      expect(warnings('S3FILE_TRIGGERS')).toEqual([
        expect.stringMatching(
          /of another definition.*s3file_update_kept_up.*createFileTriggers\(queryRunner, TwoFiles\)/,
        ),
      ])
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
      const findings = checkWiring(one, new AbortController().signal)
      const told: unknown[] = []
      for await (const { check, status, message } of findings)
        if (check === 'triggers') told.push([status, message])
      expect(told).toEqual([['problem', expect.stringContaining('(missing: s3file_update_kept_up)')]])
      await end(one)
    })

    it.runIf(['PGlite', 'PostgreSQL'].includes(database.name))(
      'are outdated when one of them is disabled',
      async () => {
        const one = await other(OneFile, false)
        await one.query('ALTER TABLE kept_up DISABLE TRIGGER s3file_delete_kept_up')
        expect(await state(OneFile, one)).toBe('outdated')
        await end(one)
      },
    )

    it('are made again by synchronize when the table is changed', async () => {
      const second = await other(TwoFiles, true)
      expect(await state(TwoFiles, second)).toBe('complete')
      await second.synchronize()
      expect(await state(TwoFiles, second)).toBe('complete')
      await end(second)
      const one = await other(OneFile, true)
      expect(await state(OneFile, one)).toBe('complete')
      expect(warnings('S3FILE_TRIGGERS')).toEqual([])
      await end(one)
    })

    it('stay when synchronize fails', async () => {
      const one = await other(OneFile, false)
      const before = await state(OneFile, one)
      vi.spyOn(one.driver, 'createSchemaBuilder').mockImplementation(() => {
        throw new Error('no builder')
      })
      await expect(one.synchronize()).rejects.toThrow('no builder')
      expect([before, await state(OneFile, one)]).toEqual(['complete', 'complete'])
      await end(one)
    })

    it('are dropped by synchronize with the last file column, so that statements do not fail', async () => {
      const none = await other(NoFile, true)
      const { id } = await none.manager.save(Object.assign(new NoFile(), { title: 'a' }))
      await none.manager.update(NoFile, id, { title: 'b' })
      await none.manager.delete(NoFile, id)
      await end(none)
    })

    it('are named by doctor and dropped by dropFileTriggers() when the entity has no file field any more', async () => {
      const none = await other(NoFile, false)
      const stale = async () => {
        const found: unknown[] = []
        for await (const finding of checkWiring(none, new AbortController().signal))
          if (finding.check === 'triggers') found.push([finding.status, finding.message, finding.fix])
        return found
      }
      expect(await stale()).toEqual([
        [
          'problem',
          expect.stringMatching(/^NoFile \(.*s3file_insert_kept_up.*\): triggers are left/),
          'In a migration: await dropFileTriggers(queryRunner, NoFile)',
        ],
      ])
      await onRunner((runner) => dropFileTriggers(runner, NoFile), none)
      expect(await stale()).toEqual([])
      await end(none)
    })

    it('are found when their table was renamed, and do not hinder a new table of the old name', async () => {
      const one = await other(OneFile, false)
      await one.query('ALTER TABLE kept_up RENAME TO kept_up_renamed')
      await end(one)
      const renamed = await other(RenamedFile, false)
      expect(await state(RenamedFile, renamed)).toBe('outdated')
      await end(renamed)
      // A new table of the old name, whose triggers have the names of those on the renamed one.
      const again = await other(OneFile, false)
      await again.query('CREATE TABLE kept_up AS SELECT * FROM kept_up_renamed WHERE id < 0')
      await onRunner((runner) => createFileTriggers(runner, OneFile), again)
      expect(await state(OneFile, again)).toBe('complete')
      await again.query("INSERT INTO kept_up_renamed (first) VALUES ('{}')")
      await again.query('DELETE FROM kept_up_renamed')
      await end(again)
      const both = await other([OneFile, RenamedFile], false)
      await onRunner((runner) => createFileTriggers(runner, RenamedFile), both)
      expect([await state(OneFile, both), await state(RenamedFile, both)]).toEqual(['complete', 'complete'])
      await onRunner(async (runner) => {
        await dropFileTriggers(runner, RenamedFile)
        await dropFileTriggers(runner, OneFile)
      }, both)
      await end(both)
    })
  })
})

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  afterEach(() => vi.restoreAllMocks())
  const triggersInDoctor = async (dataSource: DataSource) => {
    const found: string[] = []
    for await (const { check, status, message } of checkWiring(dataSource, new AbortController().signal))
      if (check === 'triggers') found.push(`${status}: ${message}`)
    return found
  }

  it('doctor and initialize() name each parent whose deletion takes files along, however far above', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const entities = [WatchedShelf, WatchedBook, WatchedPage]
    const world = await LifecycleWorld.start({ database, hasJournal, entities })
    const told = expect.stringContaining(
      'deleting a row of WatchedBook or WatchedShelf deletes rows of WatchedPage by ON DELETE CASCADE',
    )
    expect(warn.mock.calls).toEqual([[told, { code: 'S3FILE_CASCADE' }]])
    expect(await triggersInDoctor(world.dataSource)).toEqual(
      expect.arrayContaining([
        told,
        expect.stringMatching(hasJournal ? /^warning: / : /^warning: WatchedPage/),
      ]),
    )
    await world.stop()
  })

  it('initialize() asks the database nothing where no cascade takes files along', async () => {
    const world = await LifecycleWorld.start({ database, hasJournal, entities: [Paper, WatchedShelf] })
    const statements = await world.statementsOf(() => warnOfUncoveredCascades(world.dataSource))
    expect(statements).toEqual([])
    await world.stop()
  })

  it('initialize() does not fail where a table with files under a cascade is still to be made', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const world = await LifecycleWorld.start({
      database,
      hasJournal,
      entities: [CascadeParent, CascadeChild],
    })
    await world.dataSource.query('DROP TABLE cascade_child')
    warn.mockClear()
    await warnOfUncoveredCascades(world.dataSource)
    expect(warn).not.toHaveBeenCalled()
    await world.dataSource.synchronize()
    await world.stop()
  })

  it.runIf(hasJournal && database.name === 'MariaDB')(
    'triggers for a foreign key that is gone are left over, until triggers are made again',
    async () => {
      vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
      const world = await LifecycleWorld.start({
        database,
        hasJournal,
        entities: [CascadeParent, CascadeChild],
      })
      const runner = world.dataSource.createQueryRunner()
      await createFileTriggers(runner, CascadeChild)
      await runner.query(
        'CREATE TRIGGER s3file_cascade_cascade_child_00000000 BEFORE DELETE ON cascade_parent FOR EACH ROW SET @x = 1',
      )
      forgetTriggers(world.dataSource)
      expect(await triggersInDoctor(world.dataSource)).toEqual([
        expect.stringContaining('left over: s3file_cascade_cascade_child_00000000'),
      ])
      await createFileTriggers(runner, CascadeChild)
      expect(await triggersInDoctor(world.dataSource)).toEqual([
        expect.stringMatching(/^ok: CascadeChild has triggers/),
      ])
      await dropFileTriggers(runner, CascadeChild)
      await runner.release()
      await world.stop()
    },
  )

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
