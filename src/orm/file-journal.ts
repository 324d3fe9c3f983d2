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
import { type LedgerEntry, registerLedger, type UploadLedger, uploadStateOf } from '../core/upload-ledger.js'
import { batchesOf } from './batches.js'
import { beforeDestroy, whenInitialized } from './data-source-hooks.js'
import { iso, journalBrand, newEntry } from './entry-values.js'
import { allFileColumns } from './file-columns.js'
import type { FileJournalEntry } from './file-journal-entry.js'
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
      if ((await this.#delete(manager, locked)) < some.length) throw fileGone(first?.file as S3File)
    }
    const [first] = own
    const [object] = released
    if (first !== undefined && object !== undefined && own.length === 1 && released.length === 1) {
      // One statement for both: the upload's entry becomes that of the object it replaces.
      const { id: _, ...entry } = newEntry('release', object)
      const open = { id: first.id, ...openUpload }
      if ((await this.#update(manager, open, { ...entry, uploadId: null })) === 1) return []
    }
    const missing: S3File[] = []
    for (const some of batchesOf(own, rowsPerStatement)) {
      const open = { id: In(some.map(({ id }) => id)), ...openUpload }
      if ((await this.#delete(manager, open)) < some.length)
        missing.push(...(await this.#missing(manager, some)))
    }
    const entries = released.map((ref) => newEntry('release', ref))
    for (const some of batchesOf(entries, rowsPerStatement)) await this.#insert(some, manager)
    return missing
  }

  /**
   * Claims all entries of an object, for `discard()`.
   *
   * @returns what the claim is known by; null when another transaction has one of them: a row is about to refer to it.
   */
  async claimObject(object: ObjectRef): Promise<{ ids: string[]; token: string } | null> {
    const entries = await this.#run('look for an entry', (manager) =>
      this.#find(manager, { key: object.key }),
    )
    const ids = entries.filter((entry) => refId(entry) === refId(object) && entry.claimedUntil === null)
    if (ids.length === 0) return { ids: [], token: '' }
    const claimed = await this.claim({ ids: ids.map(({ id }) => id) })
    const own = { ids: claimed.entries.map(({ id }) => id), token: claimed.token }
    if (own.ids.length === ids.length) return own
    await this.giveBack(own)
    return null
  }

  /** Undoes `claimObject()`. */
  async giveBack({ ids, token }: { ids: string[]; token: string }): Promise<void> {
    const { keepUnsavedSeconds } = lifecycleOf(this.dataSource)
    const dueAt = iso(Date.now() + keepUnsavedSeconds * 1000)
    const change = { claimedUntil: null, claimedBy: null, dueAt }
    await this.#run('give back entries', (manager) =>
      this.#update(manager, { id: In(ids), claimedBy: token }, change),
    )
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

  /** The uploads whose entry is gone. */
  async #missing(manager: EntityManager, some: readonly AttachedEntry[]): Promise<S3File[]> {
    const left = await this.#find(manager, { id: In(some.map(({ id }) => id)) }, true)
    for (const { id, file } of some) {
      if (left.some((entry) => entry.id === id && refId(entry) === refId(file))) throw fileGone(file)
    }
    return some.map(({ file }) => file)
  }

  /**
   * `isLocked`: as committed by now, also where a transaction goes on seeing what there was when it began, and so until it
   * ends. SQLite has one writer at a time.
   */
  #find(manager: EntityManager, where: object, isLocked = false): Promise<FileJournalEntry[]> {
    const locks = isLocked && manager.queryRunner?.isTransactionActive && !sharesConnection(this.dataSource)
    return manager.find(this.#target, { where, ...(locks ? { lock: { mode: 'pessimistic_write' } } : {}) })
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

/** From now on uploads find the journal of each DataSource that has the entity. */
export function registerJournals(): void {
  const unregisters = new WeakMap<DataSource, () => void>()
  whenInitialized('journal', (dataSource) => {
    const journal = FileJournal.of(dataSource)
    if (journal === undefined) return
    const fields = new Set(allFileColumns(dataSource).map(({ field }) => field))
    unregisters.set(dataSource, registerLedger({ ledger: journal, knows: (field) => fields.has(field) }))
  })
  beforeDestroy('journal', (dataSource) => unregisters.get(dataSource)?.())
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
  const upload = uploadStateOf(file)
  if (upload?.status === 'gone') throw fileGone(file)
  if (upload?.entry === undefined || upload.entry.ledger === FileJournal.of(dataSource)) return
  throw new ConfigurationError(
    'invalid-value',
    `the file '${file.name}' was uploaded under the journal of another DataSource; upload it with 'into' a field that ` +
      "is saved here, or give the upload option 'journal': fileJournal(dataSource)",
  )
}
