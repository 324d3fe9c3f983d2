import type { ObjectLiteral, QueryRunner } from 'typeorm'
import type { ObjectRef } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { freshUploadOf } from '../core/upload-ledger.js'
import type { FileColumn } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { newEntry } from './file-journal-entry.js'
import { lockClause, refsOfRow, tableName } from './file-sql.js'
import type { RowFiles } from './row-files.js'
import { TransactionFiles } from './transaction-files.js'

/** A file column of one row. */
export interface FileOfRow {
  file: FileColumn
  /** The row's primary key, by property. */
  id: ObjectLiteral
}

/**
 * What most changes are: one file goes, and at most one upload comes in its place. With a journal and a transaction
 * that takes one statement.
 *
 * @returns the files that the row has then, as the journal has it; undefined when it was not to be done so.
 */
export async function tryExchange(
  runner: QueryRunner,
  row: FileOfRow,
  before: S3File[] | undefined,
  after: S3File[],
): Promise<RowFiles | undefined> {
  const journal = FileJournal.of(runner.dataSource)
  const [old] = before ?? []
  const isPlain = before?.length === 1 && !row.file.field.isMultiple
  if (journal === undefined || !runner.isTransactionActive || old === undefined || !isPlain) return undefined
  const released = { storage: old.storage, key: old.key }
  const entryId = await exchange(journal, runner, row, released, after[0])
  if (entryId === undefined) return undefined
  const files = TransactionFiles.of(runner)
  files.attach(after)
  files.release([{ ...released, entryId }])
  return new Map([[row.file, after]])
}

/**
 * Does in one statement what reading a row under lock and `FileJournal.record` do in two: notes that the row lets an
 * object go and, where there is one, refers to an upload. The row is locked by it.
 *
 * @returns the id of the entry of what was let go; undefined when the row has another object by now, or the upload's
 *   entry is claimed: then nothing was written.
 */
async function exchange(
  journal: FileJournal,
  runner: QueryRunner,
  row: FileOfRow,
  released: ObjectRef,
  upload: S3File | undefined,
): Promise<string | undefined> {
  const { id, ...rest } = newEntry('release', released)
  const ownEntry = upload && freshUploadOf(upload)?.entry
  if (upload !== undefined && ownEntry === undefined) return undefined
  const own = ownEntry?.id
  const { reason, storage, key, since, dueAt } = rest
  const values = { ...(own === undefined ? { id } : {}), reason, storage, key, since, dueAt }

  const { driver } = journal.dataSource
  const column = (property: string) =>
    driver.escape(journal.metadata.findColumnWithPropertyName(property)?.databaseName ?? property)
  const table = tableName(journal.dataSource, journal.metadata)
  const properties = Object.keys(values)
  const found = selectRow(journal, row, released)
  const sql =
    own === undefined
      ? `INSERT INTO ${table} (${properties.map(column).join(', ')}) ` +
        `SELECT ${properties.map((property) => `:${property}`).join(', ')} ${found.sql}`
      : `UPDATE ${table} SET ${properties.map((property) => `${column(property)} = :${property}`).join(', ')}, ` +
        `${column('uploadId')} = NULL ` +
        `WHERE ${column('id')} = :own AND ${column('reason')} = 'upload' AND ${column('claimedUntil')} IS NULL ` +
        `AND EXISTS (SELECT 1 ${found.sql})`
  const { affected } = await runner.query(
    ...driver.escapeQueryWithParameters(sql, { ...values, ...found.parameters, own }),
    true,
  )
  return affected === 1 ? (own ?? id) : undefined
}

/** Finds the row if it refers to that object, and locks it. */
function selectRow(
  { dataSource }: FileJournal,
  { file, id }: FileOfRow,
  { storage, key }: ObjectRef,
): { sql: string; parameters: ObjectLiteral } {
  const { driver } = dataSource
  const { entityMetadata: metadata } = file.column
  const parameters: ObjectLiteral = { rowKey: key, rowStorage: storage }
  const refs = refsOfRow(dataSource, file, 'f')
  const conditions = [`${refs.key} = :rowKey`, `${refs.storage} = :rowStorage`]
  for (const [index, column] of metadata.primaryColumns.entries()) {
    parameters[`rowId${index}`] = driver.preparePersistentValue(column.getEntityValue(id), column)
    conditions.push(`f.${driver.escape(column.databaseName)} = :rowId${index}`)
  }
  return {
    sql: `FROM ${tableName(dataSource, metadata)} f WHERE ${conditions.join(' AND ')}${lockClause(dataSource)}`,
    parameters,
  }
}
