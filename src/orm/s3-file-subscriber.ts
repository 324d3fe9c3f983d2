import {
  type AfterQueryEvent,
  type DataSource,
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
import type { ObjectRef } from '../core/object-ref.js'
import { checkOptions } from '../core/options.js'
import type { S3File } from '../core/s3-file.js'
import { UnreadableS3File } from '../core/unreadable-s3-file.js'
import { markGone, markOffered, settleUpload, watchOffers } from '../core/upload-ledger.js'
import { adaptDataSource } from './adapt-data-source.js'
import {
  changedColumns,
  diffFiles,
  insertedColumns,
  isReleasedOnReplace,
  releasedColumns,
  uploadsOf,
} from './changed-files.js'
import { CleanupQueue } from './cleanup-queue.js'
import { tryExchange } from './exchange.js'
import { type FileChange, recordChange } from './file-changes.js'
import { type FileColumn, fileColumnsOf, filesOf } from './file-columns.js'
import { assertSavable, FileJournal } from './file-journal.js'
import { rememberSource } from './file-sources.js'
import { sharesConnection } from './file-sql.js'
import {
  type Lifecycle,
  type LifecycleOptions,
  lifecycleChecks,
  lifecycleOfSubscriber,
  resolveLifecycle,
} from './lifecycle-options.js'
import { RowReader } from './row-files.js'
import { depthOf, TransactionFiles } from './transaction-files.js'
import { warnOfBulkWrite } from './warn-of-bulk-write.js'

adaptDataSource()

const readers = new WeakMap<QueryRunner, RowReader>()

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
    watchOffers()
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

  /** Remembers which row files were read from, and names the row in the error of a file that cannot be read. */
  afterLoad(entity: object, event?: LoadEvent<object>): void {
    if (event === undefined) return
    const source = { metadata: event.metadata, entity }
    for (const column of fileColumnsOf(event.metadata)) {
      rememberSource(source, filesOf(column, entity) ?? [])
      for (const file of [column.valueIn(entity)].flat()) {
        if (file instanceof UnreadableS3File)
          file.locate(JSON.stringify(event.metadata.getEntityIdMap(entity)))
      }
    }
  }

  beforeInsert({ metadata, entity, queryRunner }: InsertEvent<ObjectLiteral>): void | Promise<void> {
    const uploads = entity ? uploadsOf(insertedColumns(metadata), entity) : []
    if (uploads.length > 0) return offer(queryRunner, uploads)
  }

  beforeUpdate(event: UpdateEvent<ObjectLiteral>): void | Promise<void> {
    const { metadata, entity, databaseEntity, queryRunner } = event
    const columns = changedColumns(event)
    if (!entity || columns.length === 0) return
    const offered = offer(queryRunner, uploadsOf(columns, entity))
    if (!databaseEntity) return offered // It is a statement of the query builder.
    const id = metadata.getEntityIdMap(databaseEntity) as ObjectLiteral
    const isNeeded = columns.some((column) => filesOf(column, entity)?.length !== 0)
    const [file] = columns.length === 1 ? columns : []
    const shortcut =
      file && isReleasedOnReplace(file)
        ? () =>
            tryExchange(queryRunner, { file, id }, filesOf(file, databaseEntity), filesOf(file, entity) ?? [])
        : undefined
    return offered.then(() => readerOf(queryRunner).read({ metadata, columns, id, isNeeded, shortcut }))
  }

  beforeRemove(event: RemoveEvent<ObjectLiteral>): void | Promise<void> {
    const { metadata, databaseEntity, entityId, queryRunner } = event
    const columns = releasedColumns(metadata)
    if (columns.length === 0 || entityId === undefined) return
    const id = metadata.ensureEntityIdMap(entityId)
    // TypeORM does not load a row that goes because its parent has dropped it.
    const [file] = columns.length === 1 ? columns : []
    const shortcut =
      file && databaseEntity
        ? () => tryExchange(queryRunner, { file, id }, filesOf(file, databaseEntity), [])
        : undefined
    const isNeeded = databaseEntity === undefined
    return readerOf(queryRunner).read({ metadata, columns, id, isNeeded, shortcut })
  }

  afterInsert({ metadata, entity, entityId, queryRunner }: InsertEvent<ObjectLiteral>): void | Promise<void> {
    if (!entity) return
    const files = insertedColumns(metadata).flatMap((column) => filesOf(column, entity) ?? [])
    if (files.length === 0) return
    if (entityId !== undefined) {
      return this.#record(queryRunner, { metadata, entity, attached: files, released: [], isUpdate: false })
    }
    // The query builder does not say whether there was a conflict, and which row it then left or changed.
    TransactionFiles.find(queryRunner)?.attach(uploadsOf(insertedColumns(metadata), entity))
    if (fileColumnsOf(metadata).some(isReleasedOnReplace)) {
      return warnOfBulkWrite(queryRunner, metadata, 'insert')
    }
    return
  }

  afterUpdate(event: UpdateEvent<ObjectLiteral>): void | Promise<void> {
    const { metadata, entity, databaseEntity, queryRunner } = event
    const columns = changedColumns(event)
    if (!entity || columns.length === 0) return
    if (!databaseEntity) {
      TransactionFiles.find(queryRunner)?.attach(uploadsOf(columns, entity))
      return columns.some(isReleasedOnReplace) ? warnOfBulkWrite(queryRunner, metadata, 'update') : undefined
    }
    const read = readerOf(queryRunner).take(
      metadata,
      metadata.getEntityIdMap(databaseEntity) as ObjectLiteral,
    )
    if (read === null) {
      // The row was removed meanwhile: nothing refers to what was to come into it.
      TransactionFiles.of(queryRunner).undo(uploadsOf(columns, entity))
      return this.#settleStatement(queryRunner)
    }
    const attached: S3File[] = []
    const released: S3File[] = []
    for (const column of columns) {
      const before = read?.get(column) ?? filesOf(column, databaseEntity) ?? []
      const { added, removed } = diffFiles(before, filesOf(column, entity) ?? [])
      attached.push(...added)
      if (isReleasedOnReplace(column)) released.push(...removed)
    }
    if (attached.length + released.length === 0) {
      rememberSource({ metadata, entity }, uploadsOf(columns, entity))
      return this.#settleStatement(queryRunner)
    }
    return this.#record(queryRunner, { metadata, entity, attached, released, isUpdate: true })
  }

  afterRemove(event: RemoveEvent<ObjectLiteral>): void | Promise<void> {
    const { metadata, databaseEntity, entityId, queryRunner } = event
    const columns = releasedColumns(metadata)
    if (columns.length === 0) return
    if (entityId === undefined) return warnOfBulkWrite(queryRunner, metadata, 'delete')
    const read = readerOf(queryRunner).take(metadata, metadata.ensureEntityIdMap(entityId))
    if (read === null) return // Somebody else has removed the row, and its files with it.
    const loaded = (column: FileColumn) => (databaseEntity ? filesOf(column, databaseEntity) : undefined)
    const released = columns.flatMap((column) => read?.get(column) ?? loaded(column) ?? [])
    if (released.length === 0) return
    const entity = metadata.ensureEntityIdMap(entityId)
    return this.#record(queryRunner, { metadata, entity, attached: [], released, isUpdate: false })
  }

  afterTransactionStart({ queryRunner }: TransactionStartEvent): void {
    if (depthOf(queryRunner) !== 1) return
    // What is left of an earlier transaction on this connection ended without an answer.
    TransactionFiles.forget(queryRunner)
    readers.delete(queryRunner)
  }

  beforeTransactionCommit({ queryRunner }: TransactionCommitEvent): void {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined || depthOf(queryRunner) !== 1) return
    // Another transaction, or discard(), may have given up an upload since.
    for (const file of files.attached) assertSavable(queryRunner.dataSource, file)
    files.isCommitTried = true
  }

  afterTransactionCommit({ queryRunner }: TransactionCommitEvent): void {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (queryRunner.isTransactionActive) files.releaseSavepoint()
    else this.#settleCommit(queryRunner, files, true)
  }

  beforeTransactionRollback({ queryRunner }: TransactionRollbackEvent): void {
    // A connection that was lost takes its transaction with it; ROLLBACK cannot even be sent.
    if (queryRunner.isReleased) this.#settleLostConnection(queryRunner)
  }

  /** The events of the transaction do not come when a subscriber before this one throws in them. */
  afterQuery(event: AfterQueryEvent): void | Promise<void> {
    const { query, success, rawResults, error, queryRunner } = event
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (!success && (query === 'ROLLBACK' || isConnectionLost(queryRunner, error))) {
      this.#settleLostConnection(queryRunner)
    }
    if (!success || (query !== 'COMMIT' && query !== 'ROLLBACK')) return
    // PostgreSQL answers the COMMIT of a transaction in which a statement has failed with ROLLBACK.
    const isCommitted = query === 'COMMIT' && rawResults?.command !== 'ROLLBACK'
    if (!isCommitted) return this.#settleRollback(queryRunner, files)
    this.#settleCommit(queryRunner, files, true)
  }

  async afterTransactionRollback({ queryRunner }: TransactionRollbackEvent): Promise<void> {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (!queryRunner.isTransactionActive) return this.#settleRollback(queryRunner, files)
    await this.#redo(files.rollBackSavepoint())
  }

  #settleCommit(runner: QueryRunner, files: TransactionFiles, isTransaction: boolean): void {
    TransactionFiles.forget(runner)
    const isLast = isTransaction && !sharesConnection(runner.dataSource)
    const { attached, unused, released } = files.committed(isLast)
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
    if (files === undefined) return
    // Nobody knows whether COMMIT, or a statement that was a transaction of its own, was done: both objects stay.
    if (files.isCommitTried || !runner.isTransactionActive) TransactionFiles.forget(runner)
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

  async #record(runner: QueryRunner, change: FileChange): Promise<void> {
    await recordChange(runner, change)
    this.#settleStatement(runner)
  }

  /** Without a transaction, each statement is one. */
  #settleStatement(runner: QueryRunner): void {
    if (runner.isTransactionActive) return
    const files = TransactionFiles.find(runner)
    if (files !== undefined) this.#settleCommit(runner, files, false)
  }
}

/** mysql2 says `fatal`, PostgreSQL's server `FATAL`; pg ends the query runner of a connection that has gone. */
function isConnectionLost(
  runner: QueryRunner,
  error: { fatal?: boolean; severity?: string } | undefined,
): boolean {
  return runner.isReleased || error?.fatal === true || error?.severity === 'FATAL'
}

function readerOf(runner: QueryRunner): RowReader {
  const reader = readers.get(runner) ?? new RowReader(runner)
  readers.set(runner, reader)
  return reader
}

/** Rejects rather than throws, so that TypeORM waits for what it has begun for other rows. */
async function offer(runner: QueryRunner, uploads: S3File[]): Promise<void> {
  if (uploads.length === 0) return
  for (const file of uploads) assertSavable(runner.dataSource, file)
  for (const file of uploads) markOffered(file)
  TransactionFiles.of(runner).offer(uploads)
}
