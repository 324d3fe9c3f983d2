import type { QueryRunner } from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { batchesOf } from './batches.js'
import { allFileColumns, type FileColumn } from './file-columns.js'
import { byBytes, dialectOf, refsOfRow, tableName } from './file-sql.js'
import { dataSourceOf } from './typeorm-versions.js'
import { readCommitted } from './until-committed.js'

/** Keys that one statement looks for. */
const keysPerStatement = 1000

/** SQLite takes 32,766 by default, others more. */
const parametersPerStatement = 30_000

/** Rows that are named for one object and column: millions may share an object. */
const rowsPerObject = 10

/** A row that refers to an object. */
export interface FileReference extends ObjectRef {
  column: FileColumn
  /** The row's primary key, by column, as the driver gives it. */
  id: Record<string, unknown>
}

/**
 * Which of the objects a committed row of any file field of the database refers to, soft-deleted rows included.
 *
 * @returns their `refId`s.
 */
export async function findReferred(runner: QueryRunner, refs: readonly ObjectRef[]): Promise<Set<string>> {
  const wanted = new Set(refs.map(refId))
  const found = await findReferredKeys(
    runner,
    refs.map(({ key }) => key),
  )
  return new Set(found.map(refId).filter((id) => wanted.has(id)))
}

/**
 * The objects of these keys, in whatever storage, that a committed row of any file field refers to. One statement reads
 * all columns, as it is the only snapshot that each database and isolation level has: a file that moves from one column
 * to another meanwhile is found in one of them.
 */
export async function findReferredKeys(runner: QueryRunner, keys: Iterable<string>): Promise<ObjectRef[]> {
  const dialect = dialectOf(dataSourceOf(runner))
  const columns = allFileColumns(dataSourceOf(runner))
  if (columns.length === 0) return []
  const batchSize = Math.min(keysPerStatement, Math.ceil(parametersPerStatement / columns.length))
  const found: ObjectRef[] = []
  for (const some of batchesOf([...new Set(keys)], batchSize)) {
    const branches = columns.map((column, index) => {
      const { key, storage, from, where } = searchKeys(runner, column, some, index * some.length)
      return (
        `SELECT DISTINCT ${byBytes(dialect, key)} AS ref_key, ${byBytes(dialect, storage)} AS ref_storage ` +
        `FROM ${from} WHERE ${where}`
      )
    })
    const rows = await readCommitted<{ ref_key: string | Buffer; ref_storage: string | Buffer }>(
      runner,
      branches.join(' UNION ALL '),
      columns.flatMap(() => some),
    )
    for (const row of rows) found.push({ key: String(row.ref_key), storage: String(row.ref_storage) })
  }
  return found
}

/** The committed rows that refer to objects of these keys, in whatever storage: of each object and column a few. */
export async function findReferences(runner: QueryRunner, keys: Iterable<string>): Promise<FileReference[]> {
  const dialect = dialectOf(dataSourceOf(runner))
  const { driver } = dataSourceOf(runner)
  const found: FileReference[] = []
  for (const some of batchesOf([...new Set(keys)], keysPerStatement)) {
    for (const column of allFileColumns(dataSourceOf(runner))) {
      const { key, storage, from, where } = searchKeys(runner, column, some)
      const ids = column.column.entityMetadata.primaryColumns.map(({ databaseName }) => databaseName)
      const selected = [
        `${key} AS ref_key`,
        `${storage} AS ref_storage`,
        `ROW_NUMBER() OVER (PARTITION BY ${byBytes(dialect, key)}, ${byBytes(dialect, storage)}) AS ref_number`,
        ...ids.map((name, index) => `f.${driver.escape(name)} AS ref_id${index}`),
      ]
      const rows = await readCommitted<Record<string, unknown>>(
        runner,
        `SELECT * FROM (SELECT ${selected.join(', ')} FROM ${from} WHERE ${where}) refs ` +
          `WHERE ref_number <= ${rowsPerObject}`,
        some,
      )
      for (const row of rows) {
        found.push({
          key: row.ref_key as string,
          storage: row.ref_storage as string,
          column,
          id: Object.fromEntries(ids.map((name, index) => [name, row[`ref_id${index}`]])),
        })
      }
    }
  }
  return found
}

/**
 * The parts of a statement that finds keys in a column. A database may compare them without regard to case.
 *
 * @param first how many parameters the statement has before them.
 */
export function searchKeys(runner: QueryRunner, column: FileColumn, keys: readonly unknown[], first = 0) {
  const dataSource = dataSourceOf(runner)
  const { key, storage, search, each } = refsOfRow(dataSource, column, 'f')
  const table = tableName(dataSource, column.column.entityMetadata)
  const parameters = keys
    .map((_, index) => dataSource.driver.createParameter('key', first + index))
    .join(', ')
  return {
    key,
    storage,
    from: `${table} f${each === undefined ? '' : `, ${each}`}`,
    where: `${search} IN (${parameters})`,
  }
}
