import type { EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import { refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { type FileColumn, filesOf } from './file-columns.js'
import { dialectOf } from './file-sql.js'

/** The files of a row, by column. */
export type RowFiles = Map<FileColumn, S3File[]>

interface WantedRow {
  metadata: EntityMetadata
  columns: Set<FileColumn>
  /** The entity that TypeORM has loaded of the row before the transaction. */
  loaded: ObjectLiteral
  /** What makes reading needless, when it succeeds. */
  shortcut: (() => Promise<boolean>) | undefined
}

/**
 * Reads which files rows have now, and locks the rows until the transaction ends: what TypeORM has loaded before may
 * be out of date, and the file that somebody else's transaction has put there since would be forgotten.
 */
export class RowReader {
  readonly #runner: QueryRunner
  #wanted: WantedRow[] = []
  #reading: Promise<void> | undefined
  readonly #read = new WeakMap<object, RowFiles | null>()

  constructor(runner: QueryRunner) {
    this.#runner = runner
  }

  /**
   * Rows that are asked for in the same breath are read with one statement for each entity; one that is asked for alone
   * may do with its shortcut.
   */
  read(
    metadata: EntityMetadata,
    columns: Iterable<FileColumn>,
    loaded: ObjectLiteral,
    shortcut?: () => Promise<boolean>,
  ): Promise<void> {
    this.#wanted.push({ metadata, columns: new Set(columns), loaded, shortcut })
    this.#reading ??= Promise.resolve().then(async () => {
      const wanted = this.#wanted
      this.#wanted = []
      this.#reading = undefined
      if (wanted.length === 1 && (await wanted[0]?.shortcut?.())) return
      for (const metadata of new Set(wanted.map((row) => row.metadata))) {
        await this.#readRows(
          metadata,
          wanted.filter((row) => row.metadata === metadata),
        )
      }
    })
    return this.#reading
  }

  /** What was read of the row: null when it is not there any more, undefined when nobody has asked. */
  filesOf(loaded: object): RowFiles | null | undefined {
    return this.#read.get(loaded)
  }

  async #readRows(metadata: EntityMetadata, rows: WantedRow[]): Promise<void> {
    const columns = new Set(rows.flatMap((row) => [...row.columns]))
    const query = this.#runner.manager
      .createQueryBuilder(metadata.target, 'row')
      .select(
        [...metadata.primaryColumns.map((column) => column.propertyPath), ...pathsOf(columns)].map(inRow),
      )
      .whereInIds(rows.map(({ loaded }) => metadata.getEntityIdMap(loaded)))
      .withDeleted()
      .callListeners(false)
    if (dialectOf(this.#runner.dataSource) !== 'sqlite') query.setLock('pessimistic_write')
    const found = new Map((await query.getMany()).map((entity) => [idOf(metadata, entity), entity]))
    for (const { loaded } of rows) {
      const entity = found.get(idOf(metadata, loaded))
      const files = [...columns].map((column) => [column, (entity && filesOf(column, entity)) ?? []] as const)
      this.#read.set(loaded, entity === undefined ? null : new Map(files))
    }
  }
}

/** What has come to a list of files, and what has gone from it. */
export function diffFiles(before: S3File[], after: S3File[]): { added: S3File[]; removed: S3File[] } {
  const [old, now] = [before, after].map((files) => new Map(files.map((file) => [refId(file), file])))
  return {
    added: [...(now ?? [])].filter(([id]) => !old?.has(id)).map(([, file]) => file),
    removed: [...(old ?? [])].filter(([id]) => !now?.has(id)).map(([, file]) => file),
  }
}

function pathsOf(columns: Iterable<FileColumn>): string[] {
  return [...columns].flatMap(({ column, storageColumn }) =>
    storageColumn === undefined ? [column.propertyPath] : [storageColumn.propertyPath, column.propertyPath],
  )
}

function inRow(path: string): string {
  return `row.${path}`
}

function idOf(metadata: EntityMetadata, entity: ObjectLiteral): string {
  return JSON.stringify(metadata.getEntityIdMap(entity))
}
