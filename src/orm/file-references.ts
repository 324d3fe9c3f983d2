import type { QueryRunner } from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { allFileColumns, type FileColumn } from './file-columns.js'
import { dialectOf, refsOfRow, tableName } from './file-sql.js'

/** Keys that one statement looks for; SQLite's default takes 32,766 parameters, others more. */
const keysPerStatement = 1000

/**
 * Which of the objects a committed row of any file field of the database refers to, soft-deleted rows included.
 *
 * @returns their `refId`s.
 */
export async function findReferred(runner: QueryRunner, refs: readonly ObjectRef[]): Promise<Set<string>> {
  const wanted = new Set(refs.map(refId))
  const keys = [...new Set(refs.map(({ key }) => key))]
  const referred = new Set<string>()
  for (const file of allFileColumns(runner.dataSource)) {
    for (let start = 0; start < keys.length; start += keysPerStatement) {
      for (const ref of await findKeys(runner, file, keys.slice(start, start + keysPerStatement))) {
        // A database may compare keys without regard to case.
        if (wanted.has(refId(ref))) referred.add(refId(ref))
      }
    }
  }
  return referred
}

async function findKeys(runner: QueryRunner, file: FileColumn, keys: string[]): Promise<ObjectRef[]> {
  const { dataSource } = runner
  const { driver } = dataSource
  const { key, storage, each } = refsOfRow(dataSource, file, 'f')
  const table = tableName(dataSource, file.column.entityMetadata)
  const parameters = keys.map((_, index) => driver.createParameter('key', index)).join(', ')
  const sql =
    `SELECT ${key} AS ${driver.escape('key')}, ${storage} AS ${driver.escape('storage')} ` +
    `FROM ${table} f${each === undefined ? '' : `, ${each}`} WHERE ${key} IN (${parameters})`
  if (dialectOf(dataSource) !== 'sqlite') return runner.query(sql, keys)
  // SQLite has one connection for all, which shows what another transaction has not committed.
  let rows: ObjectRef[]
  do {
    while (runner.isTransactionActive) await new Promise((resolve) => setTimeout(resolve, 5))
    rows = await runner.query(sql, keys)
  } while (runner.isTransactionActive)
  return rows
}
