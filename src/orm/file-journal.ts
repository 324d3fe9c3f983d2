import {
  type DataSource,
  type EntityManager,
  type EntityMetadata,
  In,
  IsNull,
  type QueryRunner,
} from 'typeorm'
import { ConfigurationError, isS3FileError, JournalError, UploadError } from '../core/errors.js'
import { type ObjectRef, refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'
import { isSameLedger, type LedgerEntry, type UploadLedger, uploadStateOf } from '../core/upload-ledger.js'
import { batchesOf } from './batches.js'
import { EntryStatements } from './entry-statements.js'
import { iso, journalBrand, newEntry } from './entry-values.js'
import type { FileJournalEntry } from './file-journal-entry.js'
import { sharesConnection } from './file-sql.js'
import { inTime } from './in-time.js'
import { inTransaction } from './in-transaction.js'
import { lifecycleOf } from './lifecycle-options.js'
import { onRunner } from './on-runner.js'
import { placeOfTable } from './same-database.js'
import { TransactionFiles } from './transaction-files.js'
import { isSqliteFile, whileCommitted } from './until-committed.js'

/** Rows of one statement: with a parameter for each value, a database takes a few thousand. */
const rowsPerStatement = 500

/** How long an upload waits for transactions that are open on the only connection to a SQLite file. */
const maxWaitMs = 5000

/** What an entry is as long as no janitor has taken it. */
const unclaimed = { claimedUntil: IsNull() }

/** An upload's own entry may have become that of an object which it replaced. */
const openUpload = { reason: 'upload' as const, ...unclaimed }

/** An entry of an object that a row comes to refer to. */
export interface AttachedEntry {
  id: string
  file: S3File
}

const journals = sharedState('journals', () => new WeakMap<DataSource, FileJournal>())

/** The journal's statements. An object has at most a few entries; none of them is ever the only reason to delete it. */
export class FileJournal implements UploadLedger {
  readonly dataSource: DataSource
  readonly metadata: EntityMetadata
  readonly statements: EntryStatements
  readonly place: string | undefined

  private constructor(dataSource: DataSource, metadata: EntityMetadata) {
    this.dataSource = dataSource
    this.metadata = metadata
    this.place = placeOfTable(metadata)
    this.statements = new EntryStatements(this.entity)
  }

  /** The journal of a DataSource that has the entity. */
  static of(dataSource: DataSource): FileJournal | undefined {
    let journal = journals.get(dataSource)
    if (journal === undefined) {
      const metadata = dataSource.entityMetadatas.find(
        ({ target }) => (target as { [journalBrand]?: true })[journalBrand] === true,
      )
      if (metadata === undefined) return undefined
      journal = new FileJournal(dataSource, metadata)
      journals.set(dataSource, journal)
    }
    return journal
  }

  get entity(): typeof FileJournalEntry {
    return this.metadata.target as typeof FileJournalEntry
  }

  /** @throws JournalError `journal-failed`; the signal's reason. */
  async open(object: ObjectRef, signal?: AbortSignal): Promise<LedgerEntry> {
    const { keepUnsavedSeconds } = lifecycleOf(this.dataSource)
    const entry = newEntry('upload', object, { dueInSeconds: keepUnsavedSeconds })
    const write = () => this.run('note an upload', (manager) => this.statements.insert(manager, [entry]))
    await this.#runInTime('note an upload', signal, async (manager, runner, stop) => {
      const insert = async () => {
        stop.throwIfAborted()
        await this.statements.insert(manager, [entry])
      }
      const takeBack = () => this.statements.delete(manager, { id: entry.id })
      // SQLite has one connection for all: the entry may come into somebody else's transaction.
      if (isSqliteFile(this.dataSource)) {
        await whileCommitted(runner, insert, { withinMs: maxWaitMs })
        if (stop.aborted) await whileCommitted(runner, takeBack, { withinMs: maxWaitMs })
        return
      }
      await insert()
      if (runner.isTransactionActive) TransactionFiles.of(runner).onUndo(write)
      // Nobody has waited so long: there is no object, and will be none.
      if (stop.aborted) await takeBack()
    })
    return new JournalLedgerEntry(this, entry.id, keepUnsavedSeconds)
  }

  /** Changes an entry of an upload; one that is gone stays gone. */
  async updateUpload(id: string, change: { uploadId?: string; dueAt?: string }): Promise<void> {
    await this.#runInTime('note an upload', undefined, (manager) =>
      this.statements.update(manager, { id, ...unclaimed }, change),
    )
  }

  async remove(ids: string[], claimedBy?: string): Promise<void> {
    if (ids.length === 0) return
    const owner = claimedBy === undefined ? {} : { claimedBy }
    await this.run('remove an entry', (manager, runner) =>
      this.transact(runner, () => this.statements.delete(manager, { id: In(ids), ...owner })),
    )
  }

  /**
   * Finds the entries of objects that rows are about to refer to again, and locks them until the transaction ends: no
   * janitor takes them meanwhile.
   *
   * @throws UploadError `file-gone` when a janitor has taken one: its object is being deleted.
   */
  async lockEntries(manager: EntityManager, files: readonly S3File[]): Promise<AttachedEntry[]> {
    const byRef = new Map(files.map((file) => [refId(file), file]))
    const found: AttachedEntry[] = []
    for (const some of batchesOf(files, rowsPerStatement)) {
      for (const entry of await this.#find(manager, { key: In(some.map(({ key }) => key)) }, true)) {
        const file = byRef.get(refId(entry)) // A database may compare keys without regard to case.
        if (file === undefined) continue
        if (entry.claimedUntil !== null) throw fileGone(file)
        found.push({ id: entry.id, file })
      }
    }
    return found
  }

  /**
   * Notes within the transaction of `manager` that rows have come to refer to objects, and which objects they released.
   *
   * @param own entries of uploads of this process.
   * @param found what `lockEntries()` has found.
   * @returns the uploads whose entry is not there any more: a row has come to refer to them before, or a janitor has
   *   deleted them.
   * @throws UploadError `file-gone` for a file whose object a janitor has taken.
   */
  async record(
    manager: EntityManager,
    own: readonly AttachedEntry[],
    found: readonly AttachedEntry[],
    released: readonly ObjectRef[],
  ): Promise<S3File[]> {
    for (const some of batchesOf(found, rowsPerStatement)) {
      const locked = { id: In(some.map(({ id }) => id)), ...unclaimed }
      const [first] = some
      if ((await this.statements.delete(manager, locked)) < some.length) throw fileGone(first?.file as S3File)
    }
    const { deleteAfterSeconds } = lifecycleOf(this.dataSource)
    const [first] = own
    const [object] = released
    if (first !== undefined && object !== undefined && own.length === 1 && released.length === 1) {
      // One statement for both: the upload's entry becomes that of the object it replaces.
      const { id: _, ...entry } = newEntry('release', object, { dueInSeconds: deleteAfterSeconds })
      const open = { id: first.id, ...openUpload }
      if ((await this.statements.update(manager, open, { ...entry, uploadId: null })) === 1) return []
    }
    const missing: S3File[] = []
    for (const some of batchesOf(own, rowsPerStatement)) {
      const open = { id: In(some.map(({ id }) => id)), ...openUpload }
      if ((await this.statements.delete(manager, open)) === some.length) continue
      const { gone } = await this.#look(manager, some) // Those that were deleted just now are among them.
      if (gone.length < some.length) throw fileGone(some[0]?.file as S3File)
      missing.push(...gone)
    }
    const entries = released.map((ref) => newEntry('release', ref, { dueInSeconds: deleteAfterSeconds }))
    for (const some of batchesOf(entries, rowsPerStatement)) await this.statements.insert(manager, some)
    return missing
  }

  /**
   * Locks the entries of uploads of this process until the transaction ends, where triggers delete them.
   *
   * @returns the uploads whose entry is not there any more, as `record()` does.
   * @throws UploadError `file-gone` for a file whose object a janitor has taken.
   */
  async lockOwn(manager: EntityManager, own: readonly AttachedEntry[]): Promise<S3File[]> {
    const missing: S3File[] = []
    for (const some of batchesOf(own, rowsPerStatement)) {
      const { open, gone } = await this.#look(manager, some)
      missing.push(...gone)
      if (open.length + gone.length < some.length) throw fileGone(some[0]?.file as S3File)
    }
    return missing
  }

  /** Which uploads still have their entry, open, and which have none; a janitor has those of the others. */
  async #look(
    manager: EntityManager,
    some: readonly AttachedEntry[],
  ): Promise<{ open: S3File[]; gone: S3File[] }> {
    const left = await this.#find(manager, { id: In(some.map(({ id }) => id)) }, true)
    const entryOf = ({ id, file }: AttachedEntry) =>
      left.find((entry) => entry.id === id && refId(entry) === refId(file))
    return {
      open: some.filter((own) => entryOf(own)?.claimedUntil === null).map(({ file }) => file),
      gone: some.filter((own) => entryOf(own) === undefined).map(({ file }) => file),
    }
  }

  /**
   * `isLocked`: as committed by now, also where a transaction goes on seeing what there was when it began, and so until it
   * ends. SQLite has one writer at a time.
   */
  #find(manager: EntityManager, where: object, isLocked = false): Promise<FileJournalEntry[]> {
    const locks = isLocked && manager.queryRunner?.isTransactionActive && !sharesConnection(this.dataSource)
    return manager.find(this.entity, { where, ...(locks ? { lock: { mode: 'pessimistic_write' } } : {}) })
  }

  /** In a transaction of its own, where there is a connection for it. */
  transact<Result>(runner: QueryRunner, work: () => Promise<Result>): Promise<Result> {
    if (sharesConnection(this.dataSource)) return work()
    // MySQL's own level locks what is between the entries too, and transactions of the application would end in it.
    return inTransaction(runner, work, 'READ COMMITTED')
  }

  /** As `run()`, for an upload, which may hold the connection that it waits for: see `inTime()`. */
  #runInTime<Result>(
    what: string,
    signal: AbortSignal | undefined,
    work: (manager: EntityManager, runner: QueryRunner, stop: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    return inTime(`the file journal could not ${what}`, signal, (stop) =>
      this.run(what, (manager, runner) => work(manager, runner, stop), stop),
    )
  }

  /** On a connection of its own, of the database that is written to. */
  async run<Result>(
    what: string,
    work: (manager: EntityManager, runner: QueryRunner) => Promise<Result>,
    stop?: AbortSignal,
  ): Promise<Result> {
    try {
      return await onRunner(this.dataSource, (runner) => work(runner.manager, runner), stop)
    } catch (error) {
      if (isS3FileError(error)) throw error
      throw new JournalError('journal-failed', `the file journal could not ${what}`, { cause: error })
    }
  }
}

/** An upload's entry, as the upload sees it. */
class JournalLedgerEntry implements LedgerEntry {
  readonly ledger: FileJournal
  readonly id: string
  readonly #keepSeconds: number
  #renewAt: number

  constructor(ledger: FileJournal, id: string, keepSeconds: number) {
    this.ledger = ledger
    this.id = id
    this.#keepSeconds = keepSeconds
    this.#renewAt = this.#nextRenewal()
  }

  async nameUpload(uploadId: string): Promise<void> {
    await this.ledger.updateUpload(this.id, { uploadId })
  }

  keepAlive(): void {
    if (Date.now() < this.#renewAt) return
    this.#renewAt = this.#nextRenewal()
    this.ledger
      .updateUpload(this.id, { dueAt: iso(Date.now() + this.#keepSeconds * 1000) })
      .catch((error: unknown) => lifecycleOf(this.ledger.dataSource).onCleanupError(error, undefined))
  }

  async close(): Promise<void> {
    await this.ledger.remove([this.id])
  }

  #nextRenewal(): number {
    return Date.now() + (this.#keepSeconds * 1000) / 4
  }
}

export function fileGone({ name, storage, key }: S3File): UploadError {
  return new UploadError(
    'file-gone',
    `the object of '${name}' was deleted, or is about to be: its upload was discarded, not saved in time, or rolled back with ` +
      'its transaction, or the row that had it has released it. Upload the file again, or load the entity again',
    { context: { storage, key } },
  )
}

/**
 * Whether a row of that DataSource may come to refer to an upload.
 *
 * @throws UploadError `file-gone` for a file that this process has given up; ConfigurationError `invalid-value` for one
 *   that another DataSource's journal would delete in the end.
 */
export function assertSavable(dataSource: DataSource, file: S3File): void {
  const upload = uploadStateOf(file)
  if (upload?.status === 'gone') throw fileGone(file)
  if (upload?.entry === undefined || isSameLedger(upload.entry.ledger, FileJournal.of(dataSource))) return
  throw new ConfigurationError(
    'invalid-value',
    `the file '${file.name}' was uploaded under the journal of another database; upload it with 'into' a field that ` +
      "is saved here, or give the upload option 'journal': fileJournal(dataSource)",
  )
}
