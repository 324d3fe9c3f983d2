import type { DataSource, EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import { ConfigurationError, UploadError } from '../core/errors.js'
import { type ObjectRef, refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { isSameLedger, isUpload, markOffered, uploadStateOf } from '../core/upload-ledger.js'
import { changeList } from './change-list.js'
import { type FileColumn, fileColumnsOfTable, filesIn } from './file-columns.js'
import { type AttachedEntry, assertSavable, FileJournal } from './file-journal.js'
import { holdObjects } from './hold-objects.js'
import { hasTriggers } from './installed-triggers.js'
import { hasSeen, loadedValue, sourceOf } from './loaded-files.js'
import { type LockedRow, lockRows } from './lock-rows.js'
import { rowId } from './row-id.js'
import { isSameDatabase } from './same-database.js'
import { TransactionFiles } from './transaction-files.js'
import { dataSourceOf } from './typeorm-versions.js'

/** A row that is about to be written by `save()` or `remove()`. */
export interface RowWrite {
  metadata: EntityMetadata
  /** What it is written from; `remove()` of a row that its parent has dropped has none. */
  entity: ObjectLiteral | undefined
  /** The row as TypeORM has loaded it for this; for a row that is there already. */
  databaseEntity: ObjectLiteral | undefined
  /** The primary key, for a row that is there already. */
  id: ObjectLiteral | undefined
}

/** A row whose file columns are about to be updated. */
export interface RowUpdate extends RowWrite {
  entity: ObjectLiteral
  id: ObjectLiteral
  columns: FileColumn[]
  /** What is written to them. */
  values: ReadonlyMap<FileColumn, unknown>
  /** Called with a list that is not the one that the entity held: another transaction has changed the row. */
  onMerge: (column: FileColumn, value: unknown) => void
}

/**
 * What the statements of one `save()`, `remove()`, or of one query builder do to files. Looks before them, under locks;
 * writes to the journal after them, in the same transaction. A runner is in a transaction all the while.
 */
export class FileChanges {
  readonly #runner: QueryRunner
  readonly #dataSource: DataSource
  readonly #journal: FileJournal | undefined
  /** What rows come to refer to, and by which of their tables. */
  readonly #attached = new Map<string, { file: S3File; tables: EntityMetadata[] }>()
  readonly #released = new Map<string, { object: ObjectRef; tables: EntityMetadata[] }>()
  /** What has come into a row so far, by row and property: a save may write one row twice, or write and remove it. */
  readonly #arrivals = new Map<string, S3File[]>()
  /** What the rows that are written have now: locked, so that it stays. */
  readonly #held = new Set<string>()
  #found: AttachedEntry[] = []

  constructor(runner: QueryRunner) {
    this.#runner = runner
    this.#dataSource = dataSourceOf(runner)
    this.#journal = FileJournal.of(this.#dataSource)
  }

  get #files(): TransactionFiles {
    return TransactionFiles.of(this.#runner)
  }

  /** Files that are about to come into rows that are new, or that nobody knows. */
  insert(metadata: EntityMetadata, files: Iterable<S3File>): void {
    for (const file of files) {
      this.#offer(file)
      this.#attach(metadata, file)
    }
  }

  /**
   * @throws UploadError `file-changed` when a loaded entity would release an object that it has never seen.
   */
  async update(rows: readonly RowUpdate[]): Promise<void> {
    const wanted = new Set<RowUpdate>()
    for (const row of rows) {
      for (const column of row.columns) {
        for (const file of filesIn(row.values.get(column))) this.#offer(file)
      }
      const wasLoaded = row.columns.some(
        (column) => loadedValue(row.metadata, row.entity, column) !== undefined,
      )
      if (wasLoaded || !isRead(row, row.columns) || !(await hasTriggers(this.#runner, row.metadata)))
        wanted.add(row)
    }
    const locked = await this.#lock([...wanted], ({ columns }) => columns)
    for (const row of rows) this.#update(row, wanted.has(row) ? lockedRow(locked, row) : undefined)
  }

  async remove(rows: readonly RowWrite[]): Promise<void> {
    const wanted: RowWrite[] = []
    const columnsOf = ({ metadata }: RowWrite) =>
      fileColumnsOfTable(this.#dataSource, metadata).filter(({ field }) => field.onRemove === 'delete')
    for (const row of rows) {
      if (!isRead(row, columnsOf(row)) || !(await hasTriggers(this.#runner, row.metadata))) wanted.push(row)
    }
    const locked = await this.#lock(wanted, columnsOf)
    for (const row of rows) {
      // A row that is not there any more was removed by somebody else, and its files with it. Triggers go by the row:
      // what was loaded of it only tells what to look for at once.
      const values = wanted.includes(row)
        ? [...(lockedRow(locked, row)?.values() ?? [])]
        : columnsOf(row).map(({ valueIn }) => row.databaseEntity && valueIn(row.databaseEntity))
      for (const file of values.flatMap(filesIn)) this.#release(row.metadata, file)
      const place = `${rowId(row.metadata, row.id ?? {})} `
      for (const other of this.#arrivals.keys()) if (other.startsWith(place)) this.#replaceArrivals(other, [])
    }
  }

  /**
   * Makes sure that all files may come into rows. To be called when all of them are known.
   *
   * @param isWritten that the statement has run.
   * @throws UploadError `file-gone`; ConfigurationError `invalid-value`.
   */
  async hold(isWritten = false): Promise<void> {
    const files = [...this.#attached.values()].map(({ file }) => file)
    for (const file of files) this.#assertOurs(file)
    const others = files.filter((file) => isUsedElsewhere(file) && !this.#held.has(refId(file)))
    const { seen } = await this.#ownEntries()
    if (seen.length > 0 && !isWritten) {
      others.push(...((await this.#journal?.lockOwn(this.#runner.manager, seen)) ?? []))
    }
    this.#found = await holdObjects(this.#runner, others, isWritten)
  }

  /**
   * Writes down what the statements have done.
   *
   * @throws UploadError `file-gone`.
   */
  async record(): Promise<void> {
    const noted: ObjectRef[] = []
    const others: ObjectRef[] = []
    for (const [id, { object, tables }] of this.#released) {
      // A file that went from one row to another was not released.
      if (this.#attached.has(id)) continue
      ;((await this.#areSeenByTriggers(tables)) ? others : noted).push(object)
    }
    await this.#write(noted)
    this.#files.release([...noted, ...others])
    this.#files.attach(this.#uploads())
  }

  /** A statement that does not tell whether its rows have taken the files: the journal decides, when it is due. */
  leaveOpen(): void {
    this.#files.attach(this.#uploads())
  }

  /** No row was there to take the files: they are uploads as before. */
  withdraw(): void {
    for (const file of this.#uploads()) markOffered(file, false)
    this.#files.withdraw(this.#uploads())
  }

  #uploads(): S3File[] {
    return [...this.#attached.values()].map(({ file }) => file).filter(isUpload)
  }

  async #write(released: ObjectRef[]): Promise<void> {
    if (this.#journal === undefined) return
    const { own } = await this.#ownEntries()
    const isSeen = new Set((await this.#seenOf(this.#found)).map(({ id }) => id))
    const { manager } = this.#runner
    const entries = this.#found.filter(({ id }) => !isSeen.has(id))
    const missing = await this.#journal.record(manager, own, entries, released)
    const found = await holdObjects(this.#runner, missing, true)
    if (found.length > 0) await this.#journal.record(manager, [], found, [])
  }

  /** The entries of uploads of this process: those that triggers delete, and those that they do not. */
  async #ownEntries(): Promise<{ own: AttachedEntry[]; seen: AttachedEntry[] }> {
    const entries: AttachedEntry[] = []
    for (const { file } of this.#attached.values()) {
      const id = uploadStateOf(file)?.entry?.id
      if (id !== undefined) entries.push({ id, file })
    }
    const seen = await this.#seenOf(entries)
    return { own: entries.filter((entry) => !seen.includes(entry)), seen }
  }

  /** The entries of files that come into tables with triggers. */
  async #seenOf(entries: readonly AttachedEntry[]): Promise<AttachedEntry[]> {
    const seen: AttachedEntry[] = []
    for (const entry of entries) {
      const tables = this.#attached.get(refId(entry.file))?.tables ?? []
      if (await this.#areSeenByTriggers(tables)) seen.push(entry)
    }
    return seen
  }

  #update(row: RowUpdate, locked: LockedRow | null | undefined): void {
    const { metadata, entity, databaseEntity, columns, values, onMerge } = row
    for (const column of columns) {
      if (locked === null) {
        // The row was removed meanwhile: nothing refers to what was to come into it.
        this.#files.undo(filesIn(values.get(column)).filter(isUpload))
        continue
      }
      const loaded = loadedValue(metadata, entity, column)
      // What is locked counts, NULL too: TypeORM may have read the row before another write.
      const theirs =
        locked === undefined ? databaseEntity && column.valueIn(databaseEntity) : locked.get(column)
      if (column.field.isMultiple && loaded !== undefined) {
        const mine = values.get(column)
        const merged = changeList(loaded.value, mine, theirs)
        if (merged !== mine) onMerge(column, merged)
      }
      const { added, removed } = diffFiles(filesIn(theirs), filesIn(values.get(column)))
      this.#replaceArrivals(`${rowId(metadata, row.id)} ${column.propertyPath}`, added)
      for (const file of added) this.#attach(metadata, file)
      if (column.field.onReplace !== 'delete') continue
      const seen = loaded && seenIn(loaded.value)
      for (const file of removed) {
        const isKnown = seen === undefined || seen.has(refId(file)) || hasSeen(metadata, entity, file)
        if (!isKnown) throw fileChanged(column)
        this.#release(metadata, file)
      }
    }
  }

  /** From here on the transaction decides what becomes of an upload, also when the statement is refused. */
  #offer(file: S3File): void {
    const upload = uploadStateOf(file)
    if (
      upload === undefined ||
      (upload.entry !== undefined && !isSameLedger(upload.entry.ledger, this.#journal))
    )
      return
    markOffered(file)
    this.#files.offer([file])
  }

  /** What an earlier write of the same save has brought into the row is not in it any more. */
  #replaceArrivals(place: string, files: S3File[]): void {
    const before = this.#arrivals.get(place) ?? []
    this.#arrivals.set(place, files)
    for (const file of diffFiles(before, files).removed) {
      this.#attached.delete(refId(file))
      if (isUpload(file)) this.#files.undo([file])
    }
  }

  #attach(table: EntityMetadata, file: S3File): void {
    const known = this.#attached.get(refId(file))
    if (known === undefined) this.#attached.set(refId(file), { file, tables: [table] })
    else known.tables.push(table)
  }

  #release(table: EntityMetadata, { storage, key }: ObjectRef): void {
    const object = { storage, key }
    const known = this.#released.get(refId(object))
    if (known === undefined) this.#released.set(refId(object), { object, tables: [table] })
    else known.tables.push(table)
  }

  /** @returns null for a row that is not there. */
  async #lock<Row extends RowWrite>(
    rows: readonly Row[],
    columnsOf: (row: Row) => FileColumn[],
  ): Promise<Map<string, LockedRow>> {
    const found = new Map<string, LockedRow>()
    for (const table of new Set(rows.map(({ metadata }) => metadata.tablePath))) {
      const ofTable = rows.filter(({ metadata }) => metadata.tablePath === table)
      const [first] = ofTable
      const columns = [...new Set(ofTable.flatMap(columnsOf))]
      const ids = ofTable.map(({ id }) => id).filter((id) => id !== undefined)
      if (first === undefined || columns.length === 0 || ids.length === 0) continue
      for (const [id, row] of await lockRows(this.#runner, first.metadata, columns, ids)) {
        found.set(id, row)
        for (const value of row.values()) for (const file of filesIn(value)) this.#held.add(refId(file))
      }
    }
    return found
  }

  #assertOurs(file: S3File): void {
    assertSavable(this.#dataSource, file)
    const source = isUpload(file) ? undefined : sourceOf(file)
    const home = source && dataSourceOf(source.metadata)
    if (home === undefined || isSameDatabase(home, this.#dataSource)) return
    throw new ConfigurationError(
      'invalid-value',
      `the file '${file.name}' belongs to a row of another DataSource, whose database does not know that it is used ` +
        'here; copy it: uploadFromStream(await file.stream(), { name: file.name })',
    )
  }

  async #areSeenByTriggers(tables: readonly EntityMetadata[]): Promise<boolean> {
    for (const metadata of tables) if (await hasTriggers(this.#runner, metadata)) return true
    return false
  }
}

/** Whether a row may refer to the object: that of an upload with an entry shows when the entry is taken. */
function isUsedElsewhere(file: S3File): boolean {
  const upload = uploadStateOf(file)
  return upload === undefined || (upload.entry === undefined && sourceOf(file) !== undefined)
}

/** What has come to a list of files, and what has gone from it. */
export function diffFiles(before: S3File[], after: S3File[]): { added: S3File[]; removed: S3File[] } {
  const [old, now] = [before, after].map((files) => new Map(files.map((file) => [refId(file), file])))
  return {
    added: [...(now ?? [])].filter(([id]) => !old?.has(id)).map(([, file]) => file),
    removed: [...(old ?? [])].filter(([id]) => !now?.has(id)).map(([, file]) => file),
  }
}

/** The objects that an entity knows of; undefined where it could not read its row. */
function seenIn(loaded: unknown): Set<string> | undefined {
  const values = [loaded].flat().filter((value) => value !== null && value !== undefined)
  const files = filesIn(loaded)
  return files.length < values.length ? undefined : new Set(files.map(refId))
}

/** Whether TypeORM has read all that tells which objects to look for after COMMIT. */
function isRead({ databaseEntity }: RowWrite, columns: readonly FileColumn[]): boolean {
  return databaseEntity !== undefined && columns.every(({ valueIn }) => valueIn(databaseEntity) !== undefined)
}

function lockedRow(locked: Map<string, LockedRow>, { metadata, id }: RowWrite): LockedRow | null {
  return locked.get(rowId(metadata, id ?? {}) ?? '') ?? null
}

function fileChanged({ field }: FileColumn): UploadError {
  return new UploadError(
    'file-changed',
    `${field.label} was changed by somebody else since this entity was loaded: saving it would delete a file that it ` +
      'has never seen. Load the entity again and repeat the change with another upload, or save({ id, file }) to replace ' +
      'whatever is there',
    { context: { field: field.label } },
  )
}
