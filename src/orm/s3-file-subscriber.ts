import {
  type AfterQueryEvent,
  type DataSource,
  type EntityMetadata,
  type EntitySubscriberInterface,
  EventSubscriber,
  type InsertEvent,
  type LoadEvent,
  type ObjectLiteral,
  type QueryRunner,
  type RemoveEvent,
  type TransactionCommitEvent,
  type TransactionRollbackEvent,
  type TransactionStartEvent,
  type UpdateEvent,
} from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { checkOptions } from '../core/options.js'
import type { S3File } from '../core/s3-file.js'
import { UnreadableS3File } from '../core/unreadable-s3-file.js'
import { freshUploadOf, markGone, settleUpload } from '../core/upload-ledger.js'
import { adaptDataSource } from './adapt-data-source.js'
import { CleanupQueue } from './cleanup-queue.js'
import { exchange } from './exchange.js'
import { type FileColumn, fileColumnsOf, filesOf } from './file-columns.js'
import { assertExists, assertNotGone, FileJournal, fileGone } from './file-journal.js'
import { hasTriggers } from './installed-triggers.js'
import {
  type Lifecycle,
  type LifecycleOptions,
  lifecycleChecks,
  lifecycleOfSubscriber,
  resolveLifecycle,
} from './lifecycle-options.js'
import { diffFiles, RowReader } from './row-files.js'
import { depthOf, TransactionFiles } from './transaction-files.js'
import { warnOfBulkWrite } from './warn-of-bulk-write.js'

adaptDataSource()

/** What a statement has done to the files of a row. */
interface Change {
  metadata: EntityMetadata
  attached: S3File[]
  released: S3File[]
}

const changesByRunner = new WeakMap<QueryRunner, { changes: Change[]; written: Promise<void> }>()
const readers = new WeakMap<QueryRunner, RowReader>()

/** Rows, by what TypeORM has loaded of them, whose change the journal has noted before the statement. */
const exchanged = new WeakMap<object, { uploads: S3File[] }>()

/**
 * Goes into `DataSource.subscribers` and lets the transaction decide: the object of a file that was replaced, cleared
 * or removed goes after COMMIT, that of an upload whose transaction is rolled back goes then. A savepoint counts for
 * what happened in it. It records; the journal, or what is left of the transaction in memory, acts.
 */
@EventSubscriber()
export class S3FileSubscriber implements EntitySubscriberInterface {
  readonly [lifecycleOfSubscriber]: Lifecycle

  /** @throws ConfigurationError `unknown-option`, `invalid-option`. */
  constructor(options: LifecycleOptions = {}) {
    checkOptions('S3FileSubscriber', options, lifecycleChecks)
    this[lifecycleOfSubscriber] = resolveLifecycle(options)
  }

  /** With settings: `subscribers: [S3FileSubscriber.with({ deleteAfterSeconds: 604_800 })]`. */
  static with(options: LifecycleOptions): new () => S3FileSubscriber {
    checkOptions('S3FileSubscriber.with', options, lifecycleChecks)
    class ConfiguredS3FileSubscriber extends S3FileSubscriber {
      constructor() {
        super(options)
      }
    }
    EventSubscriber()(ConfiguredS3FileSubscriber)
    return ConfiguredS3FileSubscriber
  }

  /** Names the row in the error of a file that cannot be read. */
  afterLoad(entity: object, event?: LoadEvent<object>): void {
    if (event === undefined) return
    for (const { valueIn } of fileColumnsOf(event.metadata)) {
      for (const file of [valueIn(entity)].flat()) {
        if (file instanceof UnreadableS3File)
          file.locate(JSON.stringify(event.metadata.getEntityIdMap(entity)))
      }
    }
  }

  beforeInsert({ metadata, entity, queryRunner }: InsertEvent<ObjectLiteral>): void {
    if (entity) offer(queryRunner, uploadsOf(fileColumnsOf(metadata), entity))
  }

  beforeUpdate({
    metadata,
    entity,
    databaseEntity,
    queryRunner,
  }: UpdateEvent<ObjectLiteral>): void | Promise<void> {
    if (!entity) return
    const columns = changedColumns(metadata, entity, databaseEntity)
    if (columns.length === 0) return
    offer(queryRunner, uploadsOf(columns, entity))
    // Without what it was, it is a statement of the query builder.
    if (databaseEntity) return readRow(queryRunner, metadata, columns, databaseEntity, entity)
  }

  beforeRemove({ metadata, databaseEntity, queryRunner }: RemoveEvent<ObjectLiteral>): void | Promise<void> {
    if (!databaseEntity) return
    const columns = fileColumnsOf(metadata).filter(
      (column) => column.field.onRemove === 'delete' && filesOf(column, databaseEntity)?.length !== 0,
    )
    if (columns.length > 0) return readRow(queryRunner, metadata, columns, databaseEntity)
  }

  afterInsert({ metadata, entity, entityId, queryRunner }: InsertEvent<ObjectLiteral>): void | Promise<void> {
    if (!entity) return
    const files = fileColumnsOf(metadata).flatMap((column) => filesOf(column, entity) ?? [])
    if (files.length === 0) return
    if (entityId !== undefined) return this.#record(queryRunner, metadata, files, [])
    // The query builder does not say whether there was a conflict, and which row it then left or changed.
    TransactionFiles.find(queryRunner)?.attach(files)
    return warnOfBulkWrite(queryRunner, metadata, 'insert')
  }

  afterUpdate({
    metadata,
    entity,
    databaseEntity,
    queryRunner,
  }: UpdateEvent<ObjectLiteral>): void | Promise<void> {
    if (!entity) return
    const columns = changedColumns(metadata, entity, databaseEntity)
    if (columns.length === 0) return
    if (!databaseEntity) {
      TransactionFiles.find(queryRunner)?.attach(uploadsOf(columns, entity))
      return warnOfBulkWrite(queryRunner, metadata, 'update')
    }
    const done = exchanged.get(databaseEntity)
    const read = readers.get(queryRunner)?.filesOf(databaseEntity)
    if (read === null) return // The row was removed meanwhile: nothing refers to what was to come into it.
    const attached: S3File[] = []
    const released: S3File[] = []
    for (const column of columns) {
      // After an exchange the journal has it that the row has the upload already.
      const before = done?.uploads ?? read?.get(column) ?? filesOf(column, databaseEntity) ?? []
      const { added, removed } = diffFiles(before, filesOf(column, entity) ?? [])
      attached.push(...added)
      if (column.field.onReplace === 'delete') released.push(...removed)
    }
    return this.#record(queryRunner, metadata, attached, released)
  }

  afterRemove({ metadata, databaseEntity, queryRunner }: RemoveEvent<ObjectLiteral>): void | Promise<void> {
    const columns = fileColumnsOf(metadata).filter(({ field }) => field.onRemove === 'delete')
    if (columns.length === 0) return
    if (!databaseEntity) return warnOfBulkWrite(queryRunner, metadata, 'delete')
    if (exchanged.has(databaseEntity)) return
    const read = readers.get(queryRunner)?.filesOf(databaseEntity)
    if (read === null) return // Somebody else has removed the row, and its files with it.
    const released = columns.flatMap((column) => read?.get(column) ?? filesOf(column, databaseEntity) ?? [])
    if (released.length > 0) return this.#record(queryRunner, metadata, [], released)
  }

  afterTransactionStart({ queryRunner }: TransactionStartEvent): void {
    // What is left of an earlier transaction on this connection ended without an answer.
    if (depthOf(queryRunner) === 1) TransactionFiles.forget(queryRunner)
  }

  beforeTransactionCommit({ queryRunner }: TransactionCommitEvent): void {
    const files = TransactionFiles.find(queryRunner)
    if (files !== undefined && depthOf(queryRunner) === 1) files.isCommitTried = true
  }

  afterTransactionCommit({ queryRunner }: TransactionCommitEvent): void {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (queryRunner.isTransactionActive) files.releaseSavepoint()
    else this.#settleCommit(queryRunner, files)
  }

  beforeTransactionRollback({ queryRunner }: TransactionRollbackEvent): void {
    // A connection that was lost before COMMIT takes its transaction with it; ROLLBACK cannot even be sent.
    if (queryRunner.isReleased) this.#settleLostConnection(queryRunner)
  }

  afterQuery({ query, success, queryRunner }: AfterQueryEvent): void {
    if (!success && query === 'ROLLBACK') this.#settleLostConnection(queryRunner)
  }

  async afterTransactionRollback({ queryRunner }: TransactionRollbackEvent): Promise<void> {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (!queryRunner.isTransactionActive) return this.#settleRollback(queryRunner, files)
    await this.#redo(files.rollBackSavepoint())
  }

  #settleCommit(runner: QueryRunner, files: TransactionFiles): void {
    TransactionFiles.forget(runner)
    const { attached, unused, released } = files.committed()
    for (const file of attached) settleUpload(file)
    this.#dropUploads(runner.dataSource, unused)
    if (this[lifecycleOfSubscriber].deleteAfterSeconds > 0) return
    const queue = CleanupQueue.of(runner.dataSource)
    const entryIds = released.map(({ entryId }) => entryId)
    queue.addEntries(entryIds.filter((id) => typeof id === 'string'))
    const others = released.filter(({ entryId }) => entryId === undefined)
    if (FileJournal.of(runner.dataSource) === undefined) queue.addObjects(others)
    else queue.addReleased(others)
  }

  #settleRollback(runner: QueryRunner, files: TransactionFiles): Promise<void> {
    TransactionFiles.forget(runner)
    const { unused, onUndo } = files.rolledBack()
    if (this[lifecycleOfSubscriber].onRollback === 'delete') this.#dropUploads(runner.dataSource, unused)
    return this.#redo(onUndo)
  }

  #settleLostConnection(runner: QueryRunner): void {
    const files = TransactionFiles.find(runner)
    if (files === undefined || depthOf(runner) !== 1) return
    if (files.isCommitTried)
      TransactionFiles.forget(runner) // Nobody knows: both objects stay.
    else void this.#settleRollback(runner, files)
  }

  #dropUploads(dataSource: DataSource, uploads: S3File[]): void {
    const entryIds: string[] = []
    const objects: ObjectRef[] = []
    for (const file of uploads) {
      const { entry } = markGone(file)
      if (entry === undefined) objects.push({ storage: file.storage, key: file.key })
      else entryIds.push(entry.id)
    }
    const queue = CleanupQueue.of(dataSource)
    queue.addEntries(entryIds)
    queue.addObjects(objects)
  }

  async #redo(writes: (() => Promise<void>)[]): Promise<void> {
    for (const write of writes) {
      await write().catch((error: unknown) => this[lifecycleOfSubscriber].onCleanupError(error, undefined))
    }
  }

  /** What the statements of one `save()` or `remove()` do to files is told in one breath, and written at once. */
  #record(
    runner: QueryRunner,
    metadata: EntityMetadata,
    attached: S3File[],
    released: S3File[],
  ): Promise<void> {
    let change = changesByRunner.get(runner)
    if (change === undefined) {
      const changes: Change[] = []
      const written = Promise.resolve().then(() => {
        changesByRunner.delete(runner)
        return this.#write(runner, changes)
      })
      change = { changes, written }
      changesByRunner.set(runner, change)
    }
    change.changes.push({ metadata, attached, released })
    return change.written
  }

  async #write(runner: QueryRunner, changes: Change[]): Promise<void> {
    const files = TransactionFiles.of(runner)
    const journal = FileJournal.of(runner.dataSource)
    const attached = changes.flatMap((change) => change.attached)
    // A file that went from one row to another was not let go.
    const kept = new Set(attached.map(refId))
    const noted: ObjectRef[] = []
    for (const { metadata, released } of changes) {
      const gone = released
        .filter((file) => !kept.has(refId(file)))
        .map(({ storage, key }) => ({ storage, key }))
      const isNotedByDatabase = journal !== undefined && (await hasTriggers(runner, metadata))
      if (journal !== undefined && !isNotedByDatabase) noted.push(...gone)
      else files.release(gone.map((object) => ({ ...object, entryId: undefined })))
    }
    if (journal === undefined) await assertThere(runner.dataSource, attached)
    const ids = (await journal?.record(runner.manager, attached, noted)) ?? []
    files.release(noted.map((object, index) => ({ ...object, entryId: ids[index] })))
    files.attach(attached.filter((file) => freshUploadOf(file) !== undefined))
    if (!runner.isTransactionActive) this.#settleCommit(runner, files) // Each statement was its own transaction.
  }
}

/** The columns that a statement changes, as far as is known. */
function changedColumns(metadata: EntityMetadata, entity: object, before: object | undefined): FileColumn[] {
  return fileColumnsOf(metadata).filter((column) => {
    const now = filesOf(column, entity)
    if (now === undefined) return false
    const old = before && filesOf(column, before)
    if (old === undefined) return true
    const { added, removed } = diffFiles(old, now)
    return added.length + removed.length > 0
  })
}

function uploadsOf(columns: FileColumn[], entity: object): S3File[] {
  const files = columns.flatMap((column) => filesOf(column, entity) ?? [])
  for (const file of files) assertNotGone(file)
  return files.filter((file) => freshUploadOf(file) !== undefined)
}

function offer(runner: QueryRunner, uploads: S3File[]): void {
  if (uploads.length > 0) TransactionFiles.of(runner).offer(uploads)
}

/** Without a journal: what is no upload of this process may be gone, or about to go. */
async function assertThere(dataSource: DataSource, files: S3File[]): Promise<void> {
  for (const file of files) {
    if (freshUploadOf(file) !== undefined) continue
    if (CleanupQueue.of(dataSource).hasObject(file)) throw fileGone(file)
    await assertExists(file)
  }
}

/** Makes sure of what a row has, under lock. Triggers see for themselves. */
async function readRow(
  runner: QueryRunner,
  metadata: EntityMetadata,
  columns: FileColumn[],
  loaded: ObjectLiteral,
  changed?: ObjectLiteral,
): Promise<void> {
  const journal = FileJournal.of(runner.dataSource)
  if (journal !== undefined && (await hasTriggers(runner, metadata))) return
  const reader = readers.get(runner) ?? new RowReader(runner)
  readers.set(runner, reader)
  const isAtomic = runner.isTransactionActive
  const shortcut = isAtomic && journal && (() => tryExchange(journal, runner, columns, loaded, changed))
  await reader.read(metadata, columns, loaded, shortcut || undefined)
}

/** What most changes are: one file goes, and at most one upload comes in its place. */
async function tryExchange(
  journal: FileJournal,
  runner: QueryRunner,
  columns: FileColumn[],
  loaded: ObjectLiteral,
  changed: ObjectLiteral | undefined,
): Promise<boolean> {
  const [file] = columns
  if (file === undefined || columns.length > 1 || file.field.isMultiple) return false
  if (changed !== undefined && file.field.onReplace === 'keep') return false
  const [old] = filesOf(file, loaded) ?? []
  const uploads = (changed && filesOf(file, changed)) ?? []
  if (old === undefined) return false
  const released = { storage: old.storage, key: old.key }
  const entryId = await exchange(journal, runner, { file, entity: loaded }, released, uploads[0])
  if (entryId === undefined) return false
  const files = TransactionFiles.of(runner)
  files.attach(uploads)
  files.release([{ ...released, entryId }])
  exchanged.set(loaded, { uploads })
  return true
}
