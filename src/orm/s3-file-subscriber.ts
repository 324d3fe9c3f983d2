import {
  type DataSource,
  type EntitySubscriberInterface,
  EventSubscriber,
  type LoadEvent,
  type QueryRunner,
  type TransactionCommitEvent,
  type TransactionRollbackEvent,
  type TransactionStartEvent,
} from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import type { ObjectRef } from '../core/object-ref.js'
import { checkOptions } from '../core/options.js'
import { isS3File, isUnreadable, type S3File } from '../core/s3-file.js'
import type { UnreadableS3File } from '../core/unreadable-s3-file.js'
import {
  isUpload,
  markCommitting,
  markFresh,
  markGone,
  settleUpload,
  watchOffers,
} from '../core/upload-ledger.js'
import { adaptExecutor } from './adapt-executor.js'
import { adaptQueryBuilders } from './adapt-query-builders.js'
import { checkDrivers } from './check-driver.js'
import { CleanupQueue } from './cleanup-queue.js'
import { whenInitialized } from './data-source-hooks.js'
import { fileColumnsOf } from './file-columns.js'
import { assertSavable, FileJournal } from './file-journal.js'
import { sharesConnection } from './file-sql.js'
import {
  hasLifecycle,
  type Lifecycle,
  type LifecycleOptions,
  lifecycleChecks,
  lifecycleOf,
  lifecycleOfSubscriber,
  resolveLifecycle,
} from './lifecycle-options.js'
import { noteLoaded } from './loaded-files.js'
import { keepRows } from './row-keeper.js'
import { depthOf, TransactionFiles } from './transaction-files.js'
import { adaptSynchronize } from './trigger-upkeep.js'
import { dataSourceOf, type QueryEvent } from './typeorm-versions.js'
import { warnOfUncoveredCascades } from './warn-of-cascades.js'
import { adaptClear } from './warn-of-clear.js'

adaptExecutor()
adaptQueryBuilders()
adaptClear()
adaptSynchronize()
checkDrivers()
keepRows()
whenInitialized('cascades', async (dataSource) => {
  if (hasLifecycle(dataSource)) await warnOfUncoveredCascades(dataSource)
})
whenInitialized('lifecycle', (dataSource) => {
  const { deleteAfterSeconds } = lifecycleOf(dataSource)
  if (deleteAfterSeconds === 0 || FileJournal.of(dataSource) !== undefined) return
  throw new ConfigurationError(
    'invalid-option',
    `S3FileSubscriber: deleteAfterSeconds: ${deleteAfterSeconds} needs the journal, which remembers what to delete: ` +
      'add FileJournalEntry to DataSource.entities, and a FileJanitor',
  )
})

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

  /** Remembers what entities were loaded with, and names the row in the error of a file that cannot be read. */
  afterLoad(entity: object, event?: LoadEvent<object>): void {
    if (event === undefined) return
    const metadata = event.metadata.findInheritanceMetadata(entity)
    noteLoaded(metadata, entity)
    for (const column of fileColumnsOf(metadata)) {
      for (const file of [column.valueIn(entity)].flat()) {
        // Not by `instanceof`: the file may be of another copy of this package.
        if (!isS3File(file) || !isUnreadable(file)) continue
        const unreadable = file as unknown as UnreadableS3File
        unreadable.locate(JSON.stringify(metadata.getEntityIdMap(entity)))
      }
    }
  }

  afterTransactionStart({ queryRunner }: TransactionStartEvent): void {
    if (depthOf(queryRunner) !== 1) return
    // What is left of an earlier transaction on this connection ended without an answer.
    TransactionFiles.forget(queryRunner)
  }

  beforeTransactionCommit({ queryRunner }: TransactionCommitEvent): void {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined || depthOf(queryRunner) !== 1) return
    // Another transaction, or discard(), may have given up an upload since.
    for (const file of files.attached) assertSavable(dataSourceOf(queryRunner), file)
    for (const file of files.attached) markCommitting(file)
    files.isCommitTried = true
  }

  afterTransactionCommit({ queryRunner }: TransactionCommitEvent): void {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (queryRunner.isTransactionActive) files.releaseSavepoint()
    else this.#settleCommit(queryRunner, files)
  }

  beforeTransactionRollback({ queryRunner }: TransactionRollbackEvent): void {
    // A connection that was lost takes its transaction with it; ROLLBACK cannot even be sent.
    if (queryRunner.isReleased) this.#settleLostConnection(queryRunner)
  }

  /** The events of the transaction do not come when a subscriber before this one throws in them. */
  afterQuery(event: QueryEvent): void | Promise<void> {
    const { query, success, rawResults, error, queryRunner } = event
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (!success && (query === 'ROLLBACK' || isConnectionLost(queryRunner, error))) {
      this.#settleLostConnection(queryRunner)
    } else if (!success && hasRolledBack(error)) files.undoAll()
    if (!success || (query !== 'COMMIT' && query !== 'ROLLBACK')) return
    // PostgreSQL answers the COMMIT of a transaction in which a statement has failed with ROLLBACK.
    const isCommitted = query === 'COMMIT' && rawResults?.command !== 'ROLLBACK'
    if (!isCommitted) return this.#settleRollback(queryRunner, files)
    this.#settleCommit(queryRunner, files)
  }

  async afterTransactionRollback({ queryRunner }: TransactionRollbackEvent): Promise<void> {
    const files = TransactionFiles.find(queryRunner)
    if (files === undefined) return
    if (!queryRunner.isTransactionActive) return this.#settleRollback(queryRunner, files)
    await this.#redo(files.rollBackSavepoint())
  }

  #settleCommit(runner: QueryRunner, files: TransactionFiles): void {
    TransactionFiles.forget(runner)
    const { attached, unused, released } = files.committed(!sharesConnection(dataSourceOf(runner)))
    for (const file of attached) settleUpload(file)
    this.#endUploads(dataSourceOf(runner), unused)
    if (this[lifecycleOfSubscriber].deleteAfterSeconds > 0) return
    const queue = CleanupQueue.of(dataSourceOf(runner))
    if (FileJournal.of(dataSourceOf(runner)) === undefined) queue.addObjects(released)
    else queue.addReleased(released)
  }

  #settleRollback(runner: QueryRunner, files: TransactionFiles): Promise<void> {
    TransactionFiles.forget(runner)
    const { unused, onUndo } = files.rolledBack()
    this.#endUploads(dataSourceOf(runner), unused)
    return this.#redo(onUndo)
  }

  #settleLostConnection(runner: QueryRunner): void {
    const files = TransactionFiles.find(runner)
    if (files === undefined) return
    // Nobody knows whether COMMIT, or a statement that was a transaction of its own, was done: both objects stay.
    if (files.isCommitTried) TransactionFiles.forget(runner)
    else void this.#settleRollback(runner, files)
  }

  /** Of a transaction or savepoint that was rolled back. */
  #endUploads(dataSource: DataSource, uploads: S3File[]): void {
    if (this[lifecycleOfSubscriber].onRollback === 'delete') this.#dropUploads(dataSource, uploads)
    else for (const file of uploads) markFresh(file)
  }

  #dropUploads(dataSource: DataSource, uploads: S3File[]): void {
    const entryIds: string[] = []
    const objects: ObjectRef[] = []
    for (const file of uploads) {
      if (!isUpload(file)) continue // Another transaction has saved it.
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
}

/** mysql2 says `fatal`, PostgreSQL's server `FATAL`; pg ends the query runner of a connection that has gone. */
function isConnectionLost(
  runner: QueryRunner,
  error: { fatal?: boolean; severity?: string } | undefined,
): boolean {
  return runner.isReleased || error?.fatal === true || error?.severity === 'FATAL'
}

/** MariaDB and MySQL end the whole transaction at a deadlock, and at a row that has changed (ER_CHECKREAD). */
function hasRolledBack(error: { errno?: number } | undefined): boolean {
  return error?.errno === 1213 || error?.errno === 1020
}
