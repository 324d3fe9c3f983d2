import {
  DataSource,
  type DataSourceOptions,
  type EntityManager,
  type EntityMetadata,
  type EntitySubscriberInterface,
  type Logger,
  type ObjectLiteral,
} from 'typeorm'
import { expect, inject } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { escapeParameters } from '../../src/orm/typeorm-versions.ts'
import { type UploadStreamOptions, uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { silentLogger } from './database.ts'
import { lifecycleEntities } from './lifecycle-entities.ts'
import { S3World } from './s3-world.ts'
import { dataSourceOptions } from './servers.ts'

export interface TestedDatabase {
  name: 'PGlite' | 'PostgreSQL' | 'MariaDB' | 'SQLite'
  url: string
  /** Whether it is a server with many sessions, so that transactions can meet and connections can be lost. */
  isServer: boolean
}

const { databaseUrl, s3 } = inject('servers')

export const runDatabase: TestedDatabase = databaseUrl.startsWith('mysql:')
  ? { name: 'MariaDB', url: databaseUrl, isServer: true }
  : {
      name: s3.kind === 'embedded' ? 'PGlite' : 'PostgreSQL',
      url: databaseUrl,
      isServer: s3.kind !== 'embedded',
    }

const sqlite: TestedDatabase = { name: 'SQLite', url: 'sqljs://memory', isServer: false }

/** The database of this run, and beside the embedded one SQLite; each with a journal and without. */
export const settings = (runDatabase.isServer ? [runDatabase] : [runDatabase, sqlite]).flatMap((database) =>
  [true, false].map((hasJournal) => ({
    database,
    hasJournal,
    name: `${database.name}, ${hasJournal ? 'with a journal' : 'without a journal'}`,
  })),
)

export const settingsWithJournal = settings.filter(({ hasJournal }) => hasJournal)

interface WorldOptions {
  database: TestedDatabase
  hasJournal: boolean
  subscribers?: DataSourceOptions['subscribers']
  entities?: DataSourceOptions['entities']
}

/** Each statement of a DataSource. */
class StatementLog implements Logger {
  readonly statements: string[] = []
  logQuery = (statement: string) => void this.statements.push(statement)
  log = silentLogger.log
  logMigration = silentLogger.logMigration
  logQueryError = silentLogger.logQueryError
  logQuerySlow = silentLogger.logQuerySlow
  logSchemaBuild = silentLogger.logSchemaBuild
}

/** A database with fresh tables and the S3 of this run: what rows refer to, and what there is. */
export class LifecycleWorld {
  readonly s3: S3World
  readonly dataSource: DataSource
  readonly #options: WorldOptions
  readonly #log: StatementLog

  private constructor(s3World: S3World, dataSource: DataSource, options: WorldOptions, log: StatementLog) {
    this.s3 = s3World
    this.dataSource = dataSource
    this.#options = options
    this.#log = log
  }

  static async start(options: WorldOptions): Promise<LifecycleWorld> {
    const s3World = await S3World.start()
    const log = new StatementLog()
    const dataSource = newDataSource(options, {
      synchronize: true,
      dropSchema: true,
      logging: true,
      logger: log,
    })
    await dataSource.initialize()
    if (options.database.name !== 'MariaDB') {
      await dataSource.query(
        'CREATE TABLE deferred_link (id int PRIMARY KEY, ' +
          'target int REFERENCES deferred_link (id) DEFERRABLE INITIALLY DEFERRED)',
      )
    }
    return new LifecycleWorld(s3World, dataSource, options, log)
  }

  get manager(): EntityManager {
    return this.dataSource.manager
  }

  get hasJournal(): boolean {
    return this.#options.hasJournal
  }

  get database(): TestedDatabase {
    return this.#options.database
  }

  /** Another DataSource on the same tables, as another process has it; SQLite has none. */
  async connect(options: object = {}): Promise<DataSource> {
    return newDataSource(this.#options, options).initialize()
  }

  upload(text = 'a', options: UploadStreamOptions = {}): Promise<S3File> {
    return uploadFromStream(Buffer.from(text), { contentType: 'text/plain', name: `${text}.txt`, ...options })
  }

  /** Runs `work` under other subscribers than the usual one. */
  async withSubscribers<Result>(
    subscribers: EntitySubscriberInterface[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const usual = this.dataSource.subscribers.splice(0, Number.POSITIVE_INFINITY, ...subscribers)
    try {
      return await work()
    } finally {
      this.dataSource.subscribers.splice(0, Number.POSITIVE_INFINITY, ...usual)
    }
  }

  /** Saves a new row with these properties. */
  async saved<Row extends ObjectLiteral, Given extends Partial<Row>>(
    Class: new () => Row,
    properties: Given,
  ): Promise<Row & Given> {
    return this.manager.save(Object.assign(new Class(), properties))
  }

  /** What the tables hold, but for those of `except`; read without the help of what is tested. */
  async rows(...except: (new () => object)[]): Promise<string[]> {
    const rows: string[] = []
    for (const { target, tablePath } of this.#metadatas()) {
      if (except.includes(target as never) || target === FileJournalEntry) continue
      const found = await this.dataSource.query(`SELECT * FROM ${this.dataSource.driver.escape(tablePath)}`)
      rows.push(...found.map((row: object) => JSON.stringify(row)))
    }
    return rows.sort()
  }

  /** The keys in the rows, without the prefix. */
  async rowKeys(): Promise<string[]> {
    const keys = new RegExp(`${this.s3.prefix}([^"\\\\]+)`, 'g')
    return [
      ...new Set([...(await this.rows()).join('\n').matchAll(keys)].map(([, key]) => key as string)),
    ].sort()
  }

  async entries(): Promise<FileJournalEntry[]> {
    return this.hasJournal ? this.dataSource.getRepository(FileJournalEntry).find() : []
  }

  /** Promise 3, and 2 once all is settled: the bucket has exactly what the rows refer to, and the journal is empty. */
  async expectTruth(): Promise<void> {
    await filesSettled()
    expect((await this.s3.keys()).sort()).toEqual(await this.rowKeys())
    expect(await this.entries()).toEqual([])
  }

  /** The same, for keys that cannot be told in what the tables hold. */
  async expectTruthOf(files: S3File[]): Promise<void> {
    await filesSettled()
    expect(await this.s3.keys()).toEqual(files.map(({ key }) => key.slice(this.s3.prefix.length)))
    expect(await this.entries()).toEqual([])
  }

  /** As long ago as if the entries had waited for all that they wait for. */
  async age(seconds: number): Promise<void> {
    for (const { id, since, dueAt } of await this.entries()) {
      await this.dataSource.getRepository(FileJournalEntry).update(id, {
        since: earlier(since, seconds),
        dueAt: earlier(dueAt, seconds),
      })
    }
  }

  /** What a janitor does when all entries have become due. */
  async workOffJournal(): Promise<void> {
    await filesSettled()
    await this.age(10 * 86_400)
    await this.janitor()
  }

  /** Runs a statement of SQL with values, by their names. */
  async query(sql: string, values: ObjectLiteral, manager = this.manager): Promise<unknown> {
    return manager.query(...escapeParameters(this.dataSource, sql, values))
  }

  /** A run of a janitor. */
  async janitor(): Promise<void> {
    await new FileJanitor(this.dataSource).runOnce()
  }

  /** Statements while `work` runs, without those of the clean-up after it. */
  async statementsOf(work: () => Promise<unknown>): Promise<string[]> {
    this.#log.statements.length = 0
    await work()
    return this.#log.statements.splice(0)
  }

  /** Ends the connection of a transaction from outside, and waits until its transaction is undone. */
  async kill(manager: EntityManager): Promise<void> {
    if (this.database.name === 'PostgreSQL') {
      const [{ pid }] = await manager.query('SELECT pg_backend_pid() AS pid')
      await this.dataSource.query('SELECT pg_terminate_backend($1, 10000)', [pid])
      return
    }
    const [{ id }] = await manager.query('SELECT CONNECTION_ID() AS id')
    await this.dataSource.query(`KILL ${id}`)
    const alive = 'SELECT 1 FROM information_schema.processlist WHERE id = ?'
    while ((await this.dataSource.query(alive, [id])).length > 0) await new Promise(setImmediate)
  }

  async clear(): Promise<void> {
    await filesSettled()
    for (const { tablePath } of this.#metadatas()) {
      await this.dataSource.query(`DELETE FROM ${this.dataSource.driver.escape(tablePath)}`)
    }
    await this.s3.clear()
  }

  async stop(): Promise<void> {
    await this.dataSource.destroy()
    await this.s3.stop()
  }

  /** Tables that refer to others first, and last the journal, to which triggers write. */
  #metadatas() {
    const rank = ({ target, foreignKeys }: EntityMetadata) =>
      target === FileJournalEntry ? -1 : foreignKeys.length
    return this.dataSource.entityMetadatas.toSorted((a, b) => rank(b) - rank(a))
  }
}

function newDataSource(
  { database, hasJournal, subscribers = [S3FileSubscriber], entities = lifecycleEntities }: WorldOptions,
  options: object,
): DataSource {
  return new DataSource({
    ...dataSourceOptions(database.url),
    ...(database.name === 'PostgreSQL' ? { extra: { max: 10 } } : {}),
    entities: [...(entities as never[]), ...(hasJournal ? [FileJournalEntry] : [])],
    subscribers,
    ...options,
  } as DataSourceOptions)
}

function earlier(time: string, seconds: number): string {
  return new Date(Date.parse(time) - seconds * 1000).toISOString()
}
