import { randomBytes } from 'node:crypto'
import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3'
import {
  DataSource,
  type DataSourceOptions,
  Entity,
  type EntityManager,
  type EntityMetadata,
  PrimaryColumn,
  type QueryRunner,
} from 'typeorm'
import {
  configureStorages,
  createFileTriggers,
  dropFileTriggers,
  FileJournalEntry,
  type FileStorage,
  fileJournal,
  type S3File,
  S3FileField,
  S3FileSubscriber,
  S3Storage,
  uploadFromStream,
} from '../../src/index.ts'
import { MemoryStorage } from '../../src/testing.ts'
import { dataSourceOptions, readServers, s3ClientConfig } from '../support/servers.ts'
import { EarlySubscriber, type Kind, kinds, LateSubscriber, modelEntities } from './entities.ts'
import type { Files, Row } from './promises.ts'

/** Without a journal; with one; with one and triggers; with one and objects that stay a while after their row. */
export type Setting = 'bare' | 'journal' | 'triggers' | 'retained'

/** A row of another database, whose file may not come into this one. */
@Entity()
class ForeignRow {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ nullable: true, storage: 'foreign' }) file!: S3File | null
}

/** A database and a store, and what is in them, read without the help of what is tested. */
export class ModelWorld {
  readonly dataSource: DataSource
  readonly foreign: DataSource
  readonly setting: Setting
  /** Where each session has a connection of its own. */
  readonly isServer: boolean
  readonly #storage: FileStorage
  /** The open transaction of the program. */
  #transaction: QueryRunner | undefined
  /** Called before each statement, and without one before each request to the store. */
  onPoint: ((isFree: boolean, statement: string | undefined) => Promise<void>) | undefined
  /** What clean-up in the background could not do. */
  readonly cleanupErrors: unknown[] = []
  #uploads = 0
  #program = 0

  private constructor(dataSource: DataSource, foreign: DataSource, setting: Setting, storage: FileStorage) {
    this.dataSource = dataSource
    this.foreign = foreign
    this.setting = setting
    this.isServer = dataSource.options.type !== 'sqljs'
    this.#storage = storage
  }

  static async start(setting: Setting): Promise<ModelWorld> {
    const storage = await newStorage()
    let world: ModelWorld | undefined
    const point = async (statement?: string) => {
      const open = world?.onPoint
      if (open !== undefined) await open(world?.isFree === true, statement)
    }
    configureStorages({ default: watched(storage, point), foreign: new MemoryStorage() })
    const foreign = await new DataSource({
      type: 'sqljs',
      entities: [ForeignRow],
      subscribers: [S3FileSubscriber],
      synchronize: true,
    }).initialize()
    const file = await uploadFromStream(Buffer.from('foreign'), { storage: 'foreign' })
    await foreign.manager.save(Object.assign(new ForeignRow(), { id: 1, file }))
    const dataSource = new DataSource({
      ...databaseOptions(),
      entities: [...modelEntities, ...(setting === 'bare' ? [] : [FileJournalEntry])],
      subscribers: [
        EarlySubscriber,
        S3FileSubscriber.with({
          ...(setting === 'retained' ? { deleteAfterSeconds: 3600 } : {}),
          onCleanupError: (error) => world?.cleanupErrors.push(error),
        }),
        LateSubscriber,
      ],
      synchronize: true,
      dropSchema: true,
    } as unknown as DataSourceOptions)
    watchStatements(dataSource, point)
    await dataSource.initialize()
    if (dataSource.options.type === 'mariadb') {
      await dataSource.query('SET GLOBAL innodb_lock_wait_timeout = 1')
      await dataSource.destroy()
      await dataSource.initialize()
    }
    if (setting === 'triggers') await forEachTable(dataSource, createFileTriggers)
    world = new ModelWorld(dataSource, foreign, setting, storage)
    return world
  }

  get manager(): EntityManager {
    return this.dataSource.manager
  }

  /** The query runner of the program's open transaction. */
  get transaction(): QueryRunner | undefined {
    return this.#transaction
  }

  /** Whether other sessions can read what is committed: not while a transaction is open on the one connection of SQLite. */
  get isFree(): boolean {
    return this.isServer || !this.dataSource.createQueryRunner().isTransactionActive
  }

  /** Begins a transaction, or a savepoint of the one that is open. */
  async begin(): Promise<void> {
    this.#transaction ??= this.dataSource.createQueryRunner()
    await this.#transaction.startTransaction()
  }

  async end(how: 'commit' | 'rollback'): Promise<void> {
    const runner = this.#transaction
    if (runner === undefined) throw new Error('no transaction is open')
    try {
      if (how === 'commit') await runner.commitTransaction()
      else await runner.rollbackTransaction()
    } catch (error) {
      while (runner.isTransactionActive) await runner.rollbackTransaction()
      throw error
    } finally {
      if (!runner.isTransactionActive) {
        this.#transaction = undefined
        await runner.release()
      }
    }
  }

  get hasJournal(): boolean {
    return this.setting !== 'bare'
  }

  /** Uploads a few bytes, which are the key's own. */
  async upload(): Promise<S3File> {
    const name = `${this.#program}-f${++this.#uploads}`
    return uploadFromStream(Buffer.from(name), {
      key: () => name,
      name,
      contentType: 'text/plain',
      ...(this.hasJournal ? { journal: fileJournal(this.dataSource) } : {}),
    })
  }

  /** The keys of all objects. */
  async objects(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of this.#storage.list()) keys.push(key)
    return keys
  }

  async foreignFile(): Promise<S3File> {
    const { file } = await this.foreign.manager.findOneByOrFail(ForeignRow, { id: 1 })
    return file as S3File
  }

  /** What the tables of these kinds hold. */
  async rows(used: Iterable<Kind>, manager = this.manager): Promise<Map<string, Row>> {
    const rows = new Map<string, Row>()
    for (const kind of used) {
      const { table, title, id, fields, discriminator } = this.#columns(kind)
      const where = discriminator === undefined ? '' : ` WHERE ${discriminator}`
      for (const row of await manager.query(`SELECT * FROM ${table}${where}`)) {
        const files = fields.map(({ path, column }) => [path, keysIn(row[column])])
        rows.set(`${kind.name} ${numberOf(row[id])}`, { title: row[title], files: Object.fromEntries(files) })
      }
    }
    return rows
  }

  /** The names that SQL has for a kind, not quoted. */
  #columns(kind: Kind) {
    const metadata = this.dataSource.getMetadata(kind.target)
    const column = (path: string) =>
      metadata.columns.find(({ propertyPath }) => propertyPath === path)?.databaseName
    return {
      table: this.dataSource.driver.escape(metadata.tablePath),
      title: column('title') as string,
      id: column('id') as string,
      fields: kind.fields.map(({ path }) => ({
        path,
        column: column(path) ?? (column(`${path}.key`) as string),
      })),
      discriminator:
        metadata.discriminatorColumn === undefined
          ? undefined
          : `${this.dataSource.driver.escape(metadata.discriminatorColumn.databaseName)} = '${metadata.discriminatorValue}'`,
    }
  }

  /** SQL of a row's condition, and of all columns of a field. */
  sql(kind: Kind, path: string) {
    const metadata = this.dataSource.getMetadata(kind.target)
    const { driver } = this.dataSource
    const [primary] = metadata.primaryColumns as [EntityMetadata['primaryColumns'][number]]
    const literal = (number: number) => {
      const value = driver.preparePersistentValue(kind.id(number), primary)
      return typeof value === 'number' ? String(value) : `'${value}'`
    }
    const columns = metadata.columns
      .filter(({ propertyPath }) => propertyPath === path || propertyPath.startsWith(`${path}.`))
      .map(({ databaseName }) => driver.escape(databaseName))
    const discriminator = metadata.discriminatorColumn
    return {
      table: driver.escape(metadata.tablePath),
      id: driver.escape(primary.databaseName),
      title: driver.escape('title'),
      columns,
      literal,
      discriminator:
        discriminator === undefined
          ? undefined
          : { column: driver.escape(discriminator.databaseName), value: `'${metadata.discriminatorValue}'` },
    }
  }

  /** Whether a statement has to do with these kinds of rows, or with the journal. */
  isAbout(used: Iterable<Kind>, statement: string): boolean {
    if (statement.startsWith('SELECT COUNT(*)')) return false // Whether `reconcile` can read the rows at all.
    const tables = [...used].map((kind) => this.dataSource.getMetadata(kind.target).tableName)
    return [...tables, 'file_journal', 'COMMIT'].some((name) => statement.includes(name))
  }

  /** The keys that the journal's entries name. */
  async entries(): Promise<Set<string>> {
    if (!this.hasJournal) return new Set()
    const entries = await this.manager.find(FileJournalEntry)
    return new Set(entries.map(({ key }) => key))
  }

  /** Makes entries that no open transaction holds as old as if they had waited for all that they wait for: of these keys. */
  async age(): Promise<string[]> {
    const aged: string[] = []
    for (const { id, key, since, dueAt } of await this.manager.find(FileJournalEntry)) {
      const older = { since: earlier(since), dueAt: earlier(dueAt) }
      const { affected } = await this.manager
        .update(FileJournalEntry, id, older)
        .catch(() => ({ affected: 0 }))
      if (affected === 1) aged.push(key)
    }
    return aged
  }

  /** Deletes all rows, entries and objects. */
  async clear(used: Iterable<Kind>): Promise<void> {
    while (this.#transaction !== undefined) await this.end('rollback')
    for (const kind of used) await this.manager.query(`DELETE FROM ${this.#columns(kind).table}`)
    if (this.hasJournal) await this.manager.query('DELETE FROM file_journal')
    await this.#storage.deleteMany(await this.objects())
    this.cleanupErrors.length = 0
    this.#uploads = 0
    this.#program++
  }

  async stop(): Promise<void> {
    // Other suites of the same database look whether triggers are left.
    if (this.setting === 'triggers') await forEachTable(this.dataSource, dropFileTriggers)
    await this.dataSource.destroy()
    await this.foreign.destroy()
  }
}

async function forEachTable(
  dataSource: DataSource,
  work: (runner: QueryRunner, target: new () => object) => Promise<void>,
): Promise<void> {
  const runner = dataSource.createQueryRunner()
  for (const target of new Set(kinds.map((kind) => kind.parent ?? kind.target))) await work(runner, target)
  await runner.release()
}

/** The store that the environment names, or memory. */
async function newStorage(): Promise<FileStorage> {
  const servers = process.env.S3_ENDPOINT === undefined ? undefined : readServers(process.env)
  if (servers === undefined) return new MemoryStorage()
  const { bucket, endpoint } = servers.s3
  const client = new S3Client(s3ClientConfig(servers.s3, endpoint))
  await client
    .send(new HeadBucketCommand({ Bucket: bucket }))
    .catch(() => client.send(new CreateBucketCommand({ Bucket: bucket })))
  return new S3Storage({ bucket, keyPrefix: `model-${randomBytes(6).toString('hex')}/`, client })
}

/** The database that the environment names, whose statements do not wait for others', or SQLite in memory. */
function databaseOptions(): object {
  const { MODEL_DATABASE = 'sqljs', DATABASE_URL = 'sqljs://memory' } = process.env
  if (MODEL_DATABASE === 'sqljs') return { type: 'sqljs' }
  const options = dataSourceOptions(DATABASE_URL)
  if (options.type !== 'postgres') return options
  return { ...options, extra: { max: 10, options: '-c lock_timeout=200' } }
}

/** The same storage, that tells of each request before it is made. */
function watched(storage: FileStorage, point: () => Promise<void>): FileStorage {
  const told = ['put', 'open', 'stat', 'delete', 'deleteMany', 'copy'] as const
  const untold = ['url', 'listUploads', 'abortUpload'] as const
  const watching = Object.create(storage) as FileStorage
  for (const name of told) {
    const request = (storage[name] as (...given: unknown[]) => Promise<unknown>).bind(storage)
    Object.defineProperty(watching, name, {
      value: async (...given: unknown[]) => {
        await point()
        return request(...given)
      },
    })
  }
  for (const name of untold) {
    if (storage[name] === undefined) continue
    Object.defineProperty(watching, name, { value: (storage[name] as () => unknown).bind(storage) })
  }
  Object.defineProperty(watching, 'list', {
    value: async function* (options: object) {
      await point()
      yield* storage.list(options)
    },
  })
  return watching
}

function watchStatements({ driver }: DataSource, point: (statement: string) => Promise<void>): void {
  const create = driver.createQueryRunner.bind(driver)
  const known = new WeakSet<QueryRunner>()
  driver.createQueryRunner = (mode) => {
    const runner = create(mode)
    if (known.has(runner)) return runner
    known.add(runner)
    const query = runner.query.bind(runner) as (...given: unknown[]) => Promise<unknown>
    runner.query = (async (...given: unknown[]) => {
      await point(String(given[0]))
      return query(...given)
    }) as typeof runner.query
    return runner
  }
}

/** The keys in a column: of a record, a list of records, or a key. */
function keysIn(value: unknown): Files {
  if (value === null || value === undefined || value === '') return []
  const parsed = typeof value === 'string' && /^[[{]/.test(value) ? JSON.parse(value) : value
  return [parsed]
    .flat()
    .map((item: string | { key: string }) => shortKey(typeof item === 'string' ? item : item.key))
}

/** A key without what makes it another in each program. */
export function shortKey(key: string): string {
  return key.replace(/^.*?\d+-(f\d+)$/, '$1')
}

/** The number of a row, by its key in the database. */
function numberOf(id: unknown): number {
  return Number(/(\d+)Z?$/.exec(String(id))?.[1])
}

function earlier(time: string): string {
  return new Date(Date.parse(time) - 10 * 86_400_000).toISOString()
}
