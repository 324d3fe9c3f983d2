import { randomUUID } from 'node:crypto'
import {
  Brackets,
  type DataSource,
  type EntityManager,
  type EntityMetadata,
  In,
  IsNull,
  LessThan,
  type QueryRunner,
} from 'typeorm'
import { ConfigurationError, JournalError, UploadError } from '../core/errors.js'
import { type ObjectRef, refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'
import { getStorage } from '../core/storage-registry.js'
import { freshUploadOf, type LedgerEntry, type UploadLedger } from '../core/upload-ledger.js'
import { batchesOf } from './batches.js'
import { type FileJournalEntry, iso, journalBrand, newEntry } from './file-journal-entry.js'
import { dialectOf, sharesConnection } from './file-sql.js'
import { lifecycleOf } from './lifecycle-options.js'
import { TransactionFiles } from './transaction-files.js'

/** How long a janitor may take for a batch before another one may take it over. */
const leaseSeconds = 15 * 60

/** Which entries a janitor takes: those that are due, or those it was told of. */
export type Claim =
  | { limit: number; deleteAfterSeconds: number }
  | { ids: string[] }
  | { released: ObjectRef[] }

/** Rows of one statement: with a parameter for each value, a database takes a few thousand. */
const rowsPerStatement = 500

/** What an entry is as long as nobody has taken it: it may have become that of another object since. */
const openUpload = { reason: 'upload' as const, claimedUntil: IsNull() }

const journals = sharedState('journals', () => new WeakMap<DataSource, FileJournal>())

/** The journal's statements. An object has at most a few entries; none of them is ever the only reason to delete it. */
export class FileJournal implements UploadLedger {
  readonly dataSource: DataSource
  readonly metadata: EntityMetadata

  private constructor(dataSource: DataSource, metadata: EntityMetadata) {
    this.dataSource = dataSource
    this.metadata = metadata
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

  /** The entity, for statements that only read. */
  get entity(): typeof FileJournalEntry {
    return this.#target
  }

  /** @throws JournalError `journal-failed`. */
  async open(object: ObjectRef): Promise<LedgerEntry> {
    const { keepUnsavedSeconds } = lifecycleOf(this.dataSource)
    const now = Date.now()
    const entry = { ...newEntry('upload', object, now), dueAt: iso(now + keepUnsavedSeconds * 1000) }
    const write = () => this.#insert([entry])
    await this.#run('note an upload', async (manager, runner) => {
      await this.#insert([entry], manager)
      // SQLite has one connection for all: the entry may have come into somebody else's transaction.
      if (runner.isTransactionActive) TransactionFiles.of(runner).onUndo(write)
    })
    return new JournalLedgerEntry(this, entry.id, keepUnsavedSeconds)
  }

  /** Changes an entry of an upload; one that is gone stays gone. */
  async updateUpload(id: string, change: { uploadId?: string; dueAt?: string }): Promise<void> {
    await this.#run('note an upload', (manager) => this.#update(manager, { id }, change))
  }

  async remove(ids: string[], claimedBy?: string): Promise<void> {
    if (ids.length === 0) return
    const owner = claimedBy === undefined ? {} : { claimedBy }
    await this.#run('strike an entry', (manager, runner) =>
      this.#transact(runner, () => this.#delete(manager, { id: In(ids), ...owner })),
    )
  }

  /**
   * Notes within the transaction of `manager` which files rows have come to refer to and which objects they let go.
   *
   * @returns the ids of the entries of what was let go.
   * @throws UploadError `file-gone` for a file whose object was, or is being, deleted.
   */
  async record(
    manager: EntityManager,
    attached: readonly S3File[],
    released: readonly ObjectRef[],
  ): Promise<string[]> {
    const own: { id: string; file: S3File }[] = []
    const others: S3File[] = []
    for (const file of attached) {
      const upload = freshUploadOf(file)
      if (upload === undefined) others.push(file)
      else if (upload.entry !== undefined) own.push({ id: upload.entry.id, file })
    }
    for (const some of batchesOf(others, rowsPerStatement)) await this.#attachAgain(manager, some)
    const [first] = own
    const [object] = released
    if (first !== undefined && object !== undefined && own.length === 1 && released.length === 1) {
      // One statement for both: the upload's entry becomes that of the object it replaces.
      const { id: _, ...entry } = newEntry('release', object)
      const open = { id: first.id, ...openUpload }
      if ((await this.#update(manager, open, { ...entry, uploadId: null })) === 1) return [first.id]
      await this.#assertThere(manager, own)
    } else {
      for (const some of batchesOf(own, rowsPerStatement)) {
        const open = { id: In(some.map(({ id }) => id)), ...openUpload }
        if ((await this.#delete(manager, open)) < some.length) await this.#assertThere(manager, some)
      }
    }
    const entries = released.map((ref) => newEntry('release', ref))
    for (const some of batchesOf(entries, rowsPerStatement)) await this.#insert(some, manager)
    return entries.map(({ id }) => id)
  }

  /** Takes entries for a while, so that no other janitor works on them. */
  async claim(claim: Claim, now = Date.now()): Promise<{ token: string; entries: FileJournalEntry[] }> {
    const token = randomUUID()
    const entries = await this.#run('claim entries', async (manager, runner) => {
      await this.#transact(runner, () => this.#claim(manager, claim, token, now))
      return manager.find(this.#target, { where: { claimedBy: token } })
    })
    return { token, entries }
  }

  /** Gives entries back after a failure, to be tried again later. Their objects stay given up. */
  async postpone(
    failures: { entry: FileJournalEntry; error: unknown }[],
    token: string,
    now = Date.now(),
  ): Promise<void> {
    if (failures.length === 0) return
    await this.#run('postpone entries', (manager, runner) =>
      this.#transact(runner, async () => {
        for (const { entry, error } of failures) {
          const attempts = entry.attempts + 1
          const own = { id: entry.id, claimedBy: token }
          await this.#update(manager, own, {
            attempts,
            lastError: String(error).slice(0, 1000),
            dueAt: iso(now + backoffSeconds(attempts) * 1000),
            claimedUntil: iso(now),
            claimedBy: null,
          })
        }
      }),
    )
  }

  async #claim(manager: EntityManager, claim: Claim, token: string, now: number): Promise<void> {
    const query = manager
      .createQueryBuilder(this.#target, 'entry')
      .select(['entry.id'])
      .where(
        new Brackets((free) =>
          free.where({ claimedUntil: IsNull() }).orWhere({ claimedUntil: LessThan(iso(now)) }),
        ),
      )
      .callListeners(false)
    if ('ids' in claim) query.andWhere({ id: In(claim.ids) })
    else if ('released' in claim) {
      query.andWhere({ reason: 'release', key: In(claim.released.map(({ key }) => key)) })
    } else {
      query
        .andWhere({ dueAt: LessThan(iso(now + 1)) })
        .andWhere(
          new Brackets((due) =>
            due
              .where({ reason: 'upload' })
              .orWhere({ since: LessThan(iso(now - claim.deleteAfterSeconds * 1000 + 1)) }),
          ),
        )
        .orderBy('entry.dueAt')
        .limit(claim.limit)
    }
    if (this.#knowsSkipLocked()) query.setLock('pessimistic_write').setOnLocked('skip_locked')
    const found = await query.getMany()
    if (found.length === 0) return
    const free = [{ claimedUntil: IsNull() }, { claimedUntil: LessThan(iso(now)) }]
    const ids = In(found.map(({ id }) => id))
    await this.#update(
      manager,
      free.map((condition) => ({ id: ids, ...condition })),
      { claimedBy: token, claimedUntil: iso(now + leaseSeconds * 1000) },
    )
  }

  /** Files that have no entry of their own: copied from another row, taken back, or made of a record. */
  async #attachAgain(manager: EntityManager, files: S3File[]): Promise<void> {
    const byRef = new Map(files.map((file) => [refId(file), file]))
    const entries = await this.#find(manager, { key: In(files.map(({ key }) => key)) })
    // A database may compare keys without regard to case.
    const found = entries.filter((entry) => byRef.has(refId(entry)))
    if (found.length === 0) return
    const ids = { id: In(found.map(({ id }) => id)) }
    await this.#delete(manager, { ...ids, claimedUntil: IsNull() })
    const [claimed] = await this.#find(manager, ids, true)
    if (claimed !== undefined) throw fileGone(byRef.get(refId(claimed)) as S3File)
  }

  /** Some entries could not be taken: their objects are given up, or were attached before, by the same file. */
  async #assertThere(manager: EntityManager, own: { id: string; file: S3File }[]): Promise<void> {
    const left = await this.#find(manager, { id: In(own.map(({ id }) => id)) }, true)
    for (const { id, file } of own) {
      if (left.some((entry) => entry.id === id && refId(entry) === refId(file))) throw fileGone(file)
      if ((await getStorage(file.storage).stat(file.key)) === null) throw fileGone(file)
    }
  }

  /** `isLatest`: as committed by now, also where a transaction goes on seeing what there was when it began. */
  #find(manager: EntityManager, where: object, isLatest = false): Promise<FileJournalEntry[]> {
    const isStale =
      dialectOf(this.dataSource) === 'mysql' && manager.queryRunner?.isTransactionActive === true
    return manager.find(this.#target, {
      where,
      ...(isLatest && isStale ? { lock: { mode: 'pessimistic_write' } } : {}),
    })
  }

  #knowsSkipLocked(): boolean {
    const { driver, options } = this.dataSource
    switch (dialectOf(this.dataSource)) {
      case 'postgres':
        return true
      case 'mysql': {
        const [major = 0, minor = 0] = (driver.version ?? '').split('.').map(Number)
        const since: [number, number] = options.type === 'mariadb' ? [10, 6] : [8, 0]
        return major > since[0] || (major === since[0] && minor >= since[1])
      }
      case 'sqlite':
        return false
    }
  }

  get #target() {
    return this.metadata.target as typeof FileJournalEntry
  }

  async #insert(entries: FileJournalEntry[], manager?: EntityManager): Promise<void> {
    if (entries.length === 0) return
    if (manager === undefined) {
      await this.#run('write entries', (own) => this.#insert(entries, own))
      return
    }
    await manager
      .createQueryBuilder()
      .insert()
      .into(this.#target)
      .values(entries)
      .orIgnore()
      .callListeners(false)
      .updateEntity(false)
      .execute()
  }

  async #update(
    manager: EntityManager,
    where: object | object[],
    change: Partial<FileJournalEntry>,
  ): Promise<number> {
    const result = await manager
      .createQueryBuilder()
      .update(this.#target)
      .set(change)
      .where(where)
      .callListeners(false)
      .updateEntity(false)
      .execute()
    return result.affected ?? 0
  }

  async #delete(manager: EntityManager, where: object): Promise<number> {
    const result = await manager
      .createQueryBuilder()
      .delete()
      .from(this.#target)
      .where(where)
      .callListeners(false)
      .execute()
    return result.affected ?? 0
  }

  /** In a transaction of its own, where there is a connection for it. */
  async #transact(runner: QueryRunner, work: () => Promise<unknown>): Promise<void> {
    if (sharesConnection(this.dataSource)) {
      await work()
      return
    }
    // MySQL's own level locks what is between the entries too, and transactions of the application would end in it.
    await runner.startTransaction('READ COMMITTED')
    try {
      await work()
      await runner.commitTransaction()
    } catch (error) {
      await runner.rollbackTransaction().catch(() => undefined) // The first error tells more.
      throw error
    }
  }

  /** On a connection of its own, of the database that is written to. */
  async #run<Result>(
    what: string,
    work: (manager: EntityManager, runner: QueryRunner) => Promise<Result>,
  ): Promise<Result> {
    const runner = this.dataSource.createQueryRunner('master')
    try {
      return await work(runner.manager, runner)
    } catch (error) {
      throw new JournalError('journal-failed', `the file journal could not ${what}`, { cause: error })
    } finally {
      await runner.release()
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

/**
 * The journal of a DataSource, for `uploadFromRequest(req, { journal: fileJournal(dataSource) })` where several
 * DataSources have one.
 *
 * @throws ConfigurationError `invalid-option` for a DataSource without `FileJournalEntry`.
 */
export function fileJournal(dataSource: DataSource): UploadLedger {
  const journal = FileJournal.of(dataSource)
  if (journal === undefined) {
    throw new ConfigurationError(
      'invalid-option',
      'fileJournal: this DataSource has no FileJournalEntry among its entities, or is not initialized yet',
    )
  }
  return journal
}

/** Half a minute, twice as long each time, a day at most. */
function backoffSeconds(attempts: number): number {
  return Math.min(30 * 2 ** (attempts - 1), 86_400)
}

export function fileGone(file: S3File): UploadError {
  return new UploadError(
    'file-gone',
    `the object of '${file.name}' was deleted, or is about to be: it was discarded, its transaction was rolled back, ` +
      'or it was not saved in time',
    { context: { storage: file.storage, key: file.key } },
  )
}

/**
 * Whether a row of that DataSource may come to refer to an upload.
 *
 * @throws UploadError `file-gone` for a file that this process has given up; ConfigurationError `invalid-value` for one
 *   that another DataSource's journal would delete in the end.
 */
export function assertSavable(dataSource: DataSource, file: S3File): void {
  const upload = freshUploadOf(file)
  if (upload?.isGone) throw fileGone(file)
  if (upload?.entry === undefined || upload.entry.ledger === FileJournal.of(dataSource)) return
  throw new ConfigurationError(
    'invalid-value',
    `the file '${file.name}' was uploaded under the journal of another DataSource; upload it with 'into' a field that ` +
      "is saved here, or give the upload option 'journal': fileJournal(dataSource)",
  )
}
