import { DataSource, type DataSourceOptions, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import type { Finding } from '../../src/core/finding.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { checkWiring } from '../../src/orm/check-wiring.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { createFileTriggers, dropFileTriggers } from '../../src/orm/file-triggers.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { databasesOfRun } from '../support/database.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class WiredJson {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
class WiredColumns {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
}

@Entity()
class WiredKept {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, layout: 'key', storage: 'archive', onReplace: 'keep', onRemove: 'keep' })
  file!: S3File | null
}

@Entity('wired_json')
class WiredJsonb {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, column: { type: 'jsonb' } }) file!: S3File | null
}

@Entity('wired_kept')
class WiredFitting {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, layout: 'key', storage: 'archive', column: { length: 100 } })
  file!: S3File | null
}

const fileEntities = [WiredJson, WiredColumns, WiredKept]

describe.each(databasesOfRun())('checkWiring on %s', (database) => {
  let dataSource: DataSource

  async function start(options: Partial<DataSourceOptions> = {}): Promise<void> {
    const url = database === 'SQLite' ? 'sqljs:' : inject('servers').databaseUrl
    dataSource = new DataSource({
      ...dataSourceOptions(url),
      entities: [...fileEntities, FileJournalEntry],
      subscribers: [S3FileSubscriber],
      synchronize: true,
      dropSchema: true,
      ...options,
    } as DataSourceOptions)
    await dataSource.initialize()
  }

  async function findings(): Promise<Finding[]> {
    const found: Finding[] = []
    for await (const finding of checkWiring(dataSource, new AbortController().signal)) found.push(finding)
    return found
  }

  const notOk = (found: Finding[]) => found.filter(({ status }) => status !== 'ok')
  const one = (found: Finding[], check: string, about = '') =>
    found.find((finding) => finding.check === check && finding.message.includes(about))

  async function makeTriggers(): Promise<void> {
    const runner = dataSource.createQueryRunner()
    for (const entity of [WiredJson, WiredColumns]) await createFileTriggers(runner, entity)
    await runner.release()
  }

  beforeEach(() => configureStorages({ default: new MemoryStorage(), archive: new MemoryStorage() }))
  afterEach(async () => {
    if (!dataSource.hasMetadata(FileJournalEntry)) return dataSource.destroy()
    const runner = dataSource.createQueryRunner()
    for (const entity of [WiredJson, WiredColumns]) {
      if (dataSource.hasMetadata(entity)) await dropFileTriggers(runner, entity).catch(() => undefined)
    }
    await runner.release()
    await dataSource.destroy()
  })

  it('finds nothing wrong where all is there', async () => {
    await start()
    await makeTriggers()
    const found = await findings()
    expect(notOk(found)).toEqual([])
    expect(one(found, 'file-fields')?.message).toBe(
      'file fields: WiredJson.file (json), WiredColumns.file (columns), WiredKept.file (key)',
    )
    expect(found.filter(({ check }) => check === 'columns')).toHaveLength(3)
  })

  it('tells what is not in the DataSource, and the code that puts it there', async () => {
    configureStorages({ other: new MemoryStorage() })
    await start({ entities: fileEntities, subscribers: [] })
    const found = await findings()
    expect(one(found, 'field-storages')).toMatchObject({
      status: 'problem',
      message: expect.stringContaining("there is no storage 'default', 'archive'"),
      fix: expect.stringContaining('configureStorages({ default: '),
    })
    expect(one(found, 'subscriber')).toMatchObject({
      status: 'problem',
      fix: expect.stringContaining('subscribers: [S3FileSubscriber]'),
    })
    expect(one(found, 'journal')).toMatchObject({
      status: 'warning',
      fix: expect.stringContaining('FileJournalEntry'),
    })
    expect(one(found, 'triggers')).toMatchObject({ status: 'skipped' })
  })

  it('tells of a DataSource without file fields, and of two subscribers', async () => {
    await start({ entities: [FileJournalEntry], subscribers: [S3FileSubscriber, S3FileSubscriber.with({})] })
    const found = notOk(await findings())
    expect(found.map(({ check, status }) => [check, status])).toEqual([
      ['file-fields', 'warning'],
      ['subscriber', 'problem'],
    ])
  })

  it('a DataSource that delays deletions without a journal is not initialized', async () => {
    const started = start({
      entities: fileEntities,
      subscribers: [S3FileSubscriber.with({ deleteAfterSeconds: 60 })],
    })
    await expect(started).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('add FileJournalEntry to DataSource.entities'),
    })
    await start() // What was opened is closed again.
  })

  it('tells of tables and columns that are not in the database', async () => {
    await start()
    await dataSource.query('DROP TABLE file_journal')
    await dataSource.query('DROP TABLE wired_json')
    await dataSource.query(`ALTER TABLE wired_columns DROP COLUMN ${dataSource.driver.escape('fileName')}`)
    const found = await findings()
    expect(notOk(found).map(({ check, status, message }) => [check, status, message])).toEqual([
      ['journal', 'problem', expect.stringContaining("no table 'file_journal'")],
      ['columns', 'problem', expect.stringContaining("no table 'wired_json'")],
      ['columns', 'problem', "table 'wired_columns' has no column 'fileName'"],
    ])
    expect(one(found, 'columns')?.fix).toContain('migration:generate')
    expect(one(found, 'columns')?.fix).not.toContain('migration:run')
  })

  describe('of a column whose type or length differs', () => {
    const isPostgres = () => dataSource.options.type === 'postgres'
    const isSqlite = () => dataSource.options.type === 'sqljs'
    const quoted = (name: string) => dataSource.driver.escape(name)

    it('names the option that fits the table, and the entity with that option has nothing to change', async () => {
      await start()
      await dataSource.query('DROP TABLE wired_kept')
      await dataSource.query('CREATE TABLE wired_kept (id int PRIMARY KEY, file varchar(100) NULL)')
      const fix = one(await findings(), 'columns', 'wired_kept')?.fix
      expect(fix).toContain('column: { length: 100 } of WiredKept.file')
      if (isSqlite()) return // In memory, it ends with its DataSource.
      await dataSource.destroy()
      await start({ entities: [WiredFitting], synchronize: false, dropSchema: false })
      expect(one(await findings(), 'columns')).toMatchObject({ status: 'ok' })
    })

    it('names the type that fits the table', async () => {
      await start()
      await dataSource.query('DROP TABLE wired_json')
      await dataSource.query('CREATE TABLE wired_json (id int PRIMARY KEY, file text NOT NULL)')
      const found = one(await findings(), 'columns', 'wired_json')
      expect(found?.fix).toContain("nullable: false, column: { type: 'text' } of WiredJson.file")
    })

    it('gives a statement that keeps the values, and says that TypeORM drops the column', async () => {
      await start({ entities: [WiredKept, FileJournalEntry] })
      await dataSource.query('DROP TABLE wired_kept')
      await dataSource.query('CREATE TABLE wired_kept (id int PRIMARY KEY, file varchar(100) NULL)')
      await dataSource.query("INSERT INTO wired_kept (id, file) VALUES (1, 'kept')")
      const fix = one(await findings(), 'columns')?.fix as string
      expect(fix).not.toContain('migration:run')
      if (isSqlite()) {
        // TypeORM copies the rows of a table there.
        expect(fix).toContain('Read the migration before you run it')
        return
      }
      expect(fix).toContain("TypeORM drops 'file' and adds it again")
      const [, statement] = /(ALTER TABLE .*?)\. Do not/.exec(fix) ?? []
      await dataSource.query(statement as string)
      expect(one(await findings(), 'columns')).toMatchObject({ status: 'ok' })
      expect(await dataSource.query('SELECT file FROM wired_kept')).toEqual([{ file: 'kept' }])
    })

    it('gives the statement that makes jsonb of json on PostgreSQL and keeps the files', async () => {
      await start({ entities: [WiredJson], subscribers: [] })
      if (!isPostgres()) return
      await dataSource.manager.save(Object.assign(new WiredJson(), { file: new S3File({ key: 'kept' }) }))
      await dataSource.destroy()
      await start({ entities: [WiredJsonb], synchronize: false, dropSchema: false })
      const fix = one(await findings(), 'columns')?.fix as string
      expect(fix).toContain("column: { type: 'json' } of WiredJsonb.file")
      const [, statement] = /(ALTER TABLE .*?)\. Do not/.exec(fix) ?? []
      await dataSource.query(statement as string)
      expect(one(await findings(), 'columns')).toMatchObject({ status: 'ok' })
      expect(await dataSource.manager.find(WiredJsonb)).toMatchObject([{ file: { key: 'kept' } }])
    })

    it("names no option for a part of layout 'columns' that has none, nor for the journal", async () => {
      await start()
      for (const [table, column, type] of [
        ['wired_columns', 'fileName', 'varchar(300)'],
        ['file_journal', 'storage', 'varchar(300) NOT NULL'],
      ] as const) {
        if (isSqlite()) continue
        const change = isPostgres()
          ? `ALTER COLUMN ${quoted(column)} TYPE varchar(300)`
          : `MODIFY ${quoted(column)} ${type}`
        await dataSource.query(`ALTER TABLE ${table} ${change}`)
      }
      const found = notOk(await findings()).filter(({ check }) => check !== 'triggers')
      expect(found.map(({ check }) => check)).toEqual(isSqlite() ? [] : ['journal', 'columns'])
      for (const { fix } of found) {
        expect(fix).toMatch(/^To change the table, write the statement yourself: ALTER TABLE/)
      }
    })

    it('says of another default that nothing else differs', async () => {
      await start({ entities: [WiredKept] })
      await dataSource.query('DROP TABLE wired_kept')
      await dataSource.query("CREATE TABLE wired_kept (id int PRIMARY KEY, file varchar(1024) DEFAULT 'x')")
      expect(one(await findings(), 'columns')).toMatchObject({
        status: 'warning',
        message: expect.stringContaining("'file' has another default, comment or constraint"),
        fix: expect.stringMatching(/^To change the table: npx typeorm migration:generate/),
      })
    })
  })

  it('tells of a column that is not as the entity has it', async () => {
    await start()
    await makeTriggers()
    await dataSource.query('DROP TABLE wired_kept')
    await dataSource.query('CREATE TABLE wired_kept (id int PRIMARY KEY, file varchar(100) NOT NULL)')
    const [found, ...others] = notOk(await findings())
    expect(found).toMatchObject({
      check: 'columns',
      status: 'problem',
      message: expect.stringContaining("'file' is"),
    })
    expect(found?.message).toMatch(/\(100\) NOT NULL, not .*\(1024\)/)
    expect(others).toEqual([])
  })

  it('tells of each table without triggers, until they are made', async () => {
    await start()
    const missing = notOk(await findings())
    expect(missing.map(({ check, status, fix }) => [check, status, fix])).toEqual(
      ['WiredJson', 'WiredColumns'].map((name) => [
        'triggers',
        'warning',
        expect.stringContaining(`createFileTriggers(queryRunner, ${name})`),
      ]),
    )
  })

  it('tells of a journal that nobody works off, and of entries that fail', async () => {
    await start()
    await makeTriggers()
    const entry = {
      reason: 'release' as const,
      storage: 'default',
      since: '2026-01-02T03:04:05.000Z',
      dueAt: '2026-01-02T03:04:05.000Z',
    }
    await dataSource.manager.insert(FileJournalEntry, { ...entry, id: 'a', key: 'a' })
    expect(notOk(await findings())).toEqual([
      {
        check: 'journal',
        status: 'warning',
        message: expect.stringContaining('1 of 1 entries of the journal are due'),
        fix: expect.stringContaining('typeorm-s3-file janitor'),
      },
    ])
    await dataSource.manager.update(FileJournalEntry, 'a', { attempts: 1 })
    expect(one(await findings(), 'journal')?.message).toContain('failed on 1 of 1')
  })

  it('asks for an index on the key of a large table, and sees the one that it asked for', async () => {
    await start()
    await fillWithManyRows(dataSource)
    const isMysql = dataSource.options.type === 'mariadb'
    const unindexed = async () =>
      (await findings()).filter(({ check, status }) => check === 'key-index' && status !== 'ok')
    const missing = await unindexed()
    expect(missing.map(({ message }) => message.split(' ')[0])).toEqual([
      'WiredJson.file',
      'WiredColumns.file',
    ])
    const statements = missing.map(({ fix }) => fix as string).filter((fix) => fix.startsWith('CREATE INDEX'))
    expect(statements).toHaveLength(isMysql ? 1 : 2)
    for (const statement of statements) await dataSource.query(statement)
    expect((await unindexed()).map(({ fix }) => fix)).toEqual(
      isMysql ? [expect.stringContaining("layout: 'columns'")] : [],
    )
  })
})

async function fillWithManyRows(dataSource: DataSource): Promise<void> {
  if (dataSource.options.type === 'mariadb')
    await dataSource.query('SET SESSION max_recursive_iterations = 20000')
  for (const table of ['wired_json', 'wired_columns']) {
    await dataSource.query(
      `INSERT INTO ${table} (id) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n`,
    )
  }
}
