import type { EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import type { S3File } from '../core/s3-file.js'
import { type FileColumn, filesOf } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { sharesConnection } from './file-sql.js'
import { hasTriggers } from './installed-triggers.js'

/** The files of a row, by column. */
export type RowFiles = Map<FileColumn, S3File[]>

interface WantedRow {
  metadata: EntityMetadata
  columns: FileColumn[]
  /** The primary key, by property. */
  id: ObjectLiteral
  /** Whether it has to be read where triggers note what the row lets go. */
  isNeeded: boolean
  /** Gives what reading would, or undefined; for a row that is asked for alone. */
  shortcut?: (() => Promise<RowFiles | undefined>) | undefined
}

/**
 * Reads which files rows have now, and locks the rows until the transaction ends: what TypeORM has loaded before may
 * be out of date, and the file that somebody else's transaction has put there since would be forgotten.
 */
export class RowReader {
  readonly #runner: QueryRunner
  #wanted: WantedRow[] = []
  #reading: Promise<void> | undefined
  readonly #read = new Map<string, RowFiles | null>()

  constructor(runner: QueryRunner) {
    this.#runner = runner
  }

  /**
   * Rows that are asked for in the same breath are read with one statement for each entity, one after the other. A row
   * that is asked for alone may do with its shortcut.
   */
  read(row: WantedRow): Promise<void> {
    this.#wanted.push(row)
    this.#reading ??= Promise.resolve().then(async () => {
      const wanted = this.#wanted
      this.#wanted = []
      this.#reading = undefined
      for (const metadata of new Set(wanted.map((row) => row.metadata))) {
        const rows = wanted.filter((row) => row.metadata === metadata)
        const isSeenByTriggers = await this.#isSeenByTriggers(metadata)
        if (isSeenByTriggers && !rows.some(({ isNeeded }) => isNeeded)) continue
        const [only] = wanted.length === 1 && !isSeenByTriggers ? wanted : []
        const files = await only?.shortcut?.()
        if (only !== undefined && files !== undefined) this.#read.set(rowId(metadata, only.id), files)
        else await this.#readRows(metadata, rows)
      }
    })
    return this.#reading
  }

  /** What was read of the row, once: null when it is not there any more, undefined when it was not read. */
  take(metadata: EntityMetadata, id: ObjectLiteral): RowFiles | null | undefined {
    const row = rowId(metadata, id)
    const files = this.#read.get(row)
    this.#read.delete(row)
    return files
  }

  async #isSeenByTriggers(metadata: EntityMetadata): Promise<boolean> {
    const { dataSource } = this.#runner
    return FileJournal.of(dataSource) !== undefined && (await hasTriggers(this.#runner, metadata))
  }

  async #readRows(metadata: EntityMetadata, rows: WantedRow[]): Promise<void> {
    const columns = new Set(rows.flatMap((row) => row.columns))
    const ids = rows.map(({ id }) => id)
    const found = await lockRows(this.#runner, metadata, columns, ids, 'pessimistic_write')
    for (const id of ids) {
      const row = rowId(metadata, id)
      const entity = found.get(row)
      const files = [...columns].map((column) => [column, (entity && filesOf(column, entity)) ?? []] as const)
      this.#read.set(row, entity === undefined ? null : new Map(files))
    }
  }
}

/** Rows as they are now, by their `rowId`; within a transaction they stay so until it ends. */
export async function lockRows(
  runner: QueryRunner,
  metadata: EntityMetadata,
  columns: Iterable<FileColumn>,
  ids: ObjectLiteral[],
  mode: 'pessimistic_read' | 'pessimistic_write',
): Promise<Map<string, ObjectLiteral>> {
  const query = runner.manager
    .createQueryBuilder(metadata.target, 'row')
    .select([...metadata.primaryColumns.map((column) => column.propertyPath), ...pathsOf(columns)].map(inRow))
    .whereInIds(ids)
    .withDeleted()
    .callListeners(false)
  // SQLite has no locks on rows, and without a transaction a lock would not last.
  if (runner.isTransactionActive && !sharesConnection(runner.dataSource)) query.setLock(mode)
  const rows = await query.getMany()
  return new Map(rows.map((row) => [rowId(metadata, metadata.getEntityIdMap(row)), row]))
}

function pathsOf(columns: Iterable<FileColumn>): string[] {
  return [...columns].flatMap(({ column, storageColumn }) =>
    storageColumn === undefined ? [column.propertyPath] : [storageColumn.propertyPath, column.propertyPath],
  )
}

function inRow(path: string): string {
  return `row.${path}`
}

/** The same text for the same row, whether its key was loaded as numbers, as text or as what JSON does not know. */
export function rowId({ tablePath }: EntityMetadata, id: ObjectLiteral | undefined): string {
  const asText = (_: string, value: unknown) =>
    typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
  return `${tablePath} ${JSON.stringify(id, asText)}`
}
