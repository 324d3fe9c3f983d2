import type { DataSource, EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import { S3File } from '../core/s3-file.js'
import { batchesOf } from './batches.js'
import type { FileColumn } from './file-columns.js'
import { dialectOf, lockClause, tableName } from './file-sql.js'
import { rowId } from './row-id.js'
import { dataSourceOf, escapeParameters } from './typeorm-versions.js'

/** Rows of one statement: with a parameter for each part of a key, a database takes a few thousand. */
const rowsPerStatement = 100

/** What the file columns of a row hold now, by column: an S3File, a list of them, or null. */
export type LockedRow = Map<FileColumn, unknown>

/**
 * Reads which files rows of one table have now, whatever the isolation level, and locks the rows until the transaction
 * ends. Goes by the table's columns, not by an entity's: rows of a child entity may be asked for through its parent.
 *
 * @param ids objects with the primary key.
 * @returns the rows that are there, by their `rowId`.
 */
export async function lockRows(
  runner: QueryRunner,
  metadata: EntityMetadata,
  columns: readonly FileColumn[],
  ids: readonly ObjectLiteral[],
): Promise<Map<string, LockedRow>> {
  const dataSource = dataSourceOf(runner)
  const { driver } = dataSource
  const selected = columns.flatMap(refColumns)
  const list = selected.map((column, index) => `${readable(dataSource, column)} AS c${index}`).join(', ')
  const found = new Map<string, LockedRow>()
  for (const some of batchesOf(ids, rowsPerStatement)) {
    const parameters: ObjectLiteral = {}
    const conditions = some.map((id, row) => {
      const parts = metadata.primaryColumns.map((column, part) => {
        parameters[`k${row}_${part}`] = driver.preparePersistentValue(column.getEntityValue(id), column)
        return `f.${driver.escape(column.databaseName)} = :k${row}_${part}`
      })
      return `(${parts.join(' AND ')})`
    })
    // The database says which key it is: it may take another spelling for the same.
    const which = conditions.map((condition, index) => `WHEN ${condition} THEN ${index}`).join(' ')
    const sql =
      `SELECT CASE ${which} END AS n, ${list} FROM ${tableName(dataSource, metadata)} f ` +
      `WHERE ${conditions.join(' OR ')}${lockClause(dataSource)}`
    const rows: ObjectLiteral[] = await runner.query(...escapeParameters(dataSource, sql, parameters))
    for (const raw of rows) {
      const values = selected.map((column, index) => driver.prepareHydratedValue(raw[`c${index}`], column))
      const files: LockedRow = new Map()
      for (const column of columns)
        files.set(column, fileOf(column, values.splice(0, refColumns(column).length)))
      const id = some[Number(raw.n)] as ObjectLiteral
      found.set(rowId(metadata, id) as string, files)
    }
  }
  return found
}

/** SQLite keeps `jsonb` in a binary form of its own. */
function readable(dataSource: DataSource, { databaseName, type }: ColumnMetadata): string {
  const name = `f.${dataSource.driver.escape(databaseName)}`
  return type === 'jsonb' && dialectOf(dataSource) === 'sqlite' ? `json(${name})` : name
}

/** The columns that say which object it is: the record, or the key and its storage. */
function refColumns({ column, storageColumn }: FileColumn) {
  return storageColumn === undefined ? [column] : [column, storageColumn]
}

function fileOf({ field, storageColumn }: FileColumn, [value, storage]: unknown[]): unknown {
  if (storageColumn === undefined) return value
  return typeof value === 'string'
    ? new S3File({
        key: value,
        storage: typeof storage === 'string' ? storage : (field.rules.storage ?? 'default'),
      })
    : null
}
