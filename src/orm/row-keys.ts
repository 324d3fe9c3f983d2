import type { QueryRunner } from 'typeorm'
import { allFileColumns } from './file-columns.js'
import { byBytes, type Dialect, dialectOf, literal, refsOfRow, tableName } from './file-sql.js'
import { dataSourceOf } from './typeorm-versions.js'

/** Rows that PostgreSQL sends at once. */
const rowsPerFetch = 1000

/** Keys that SQLite reads at once: it sorts all of them for each page. */
const keysPerPage = 10_000

/**
 * The keys of all objects that rows refer to in storages of these names, in the order of their UTF-8 bytes; one that
 * several rows have comes several times. They are read as they are asked for. On PostgreSQL the runner is in a
 * transaction meanwhile, in which other statements see what was committed since; on MySQL it takes no other statement.
 */
export function rowKeys(runner: QueryRunner, storages: readonly string[]): AsyncIterable<string> {
  const dialect = dialectOf(dataSourceOf(runner))
  const keys = `(${selectKeys(runner, dialect, storages)}) refs`
  return { postgres: fetchKeys, mysql: streamKeys, sqlite: pageKeys }[dialect](runner, keys)
}

/** A statement without order, whose only column is `object_key`. */
function selectKeys(runner: QueryRunner, dialect: Dialect, storages: readonly string[]): string {
  const dataSource = dataSourceOf(runner)
  const names = storages.map((name) => byBytes(dialect, literal(dialect, name))).join(', ')
  const branches = allFileColumns(dataSource).map((column) => {
    const { key, storage, each } = refsOfRow(dataSource, column, 'f')
    const table = tableName(dataSource, column.column.entityMetadata)
    return (
      `SELECT ${byBytes(dialect, key)} AS object_key FROM ${table} f${each === undefined ? '' : `, ${each}`} ` +
      `WHERE ${key} IS NOT NULL AND ${byBytes(dialect, storage)} IN (${names})`
    )
  })
  return branches.join(' UNION ALL ')
}

async function* fetchKeys(runner: QueryRunner, keys: string): AsyncGenerator<string> {
  const sorted = fetchRows(runner, `SELECT object_key FROM ${keys} ORDER BY object_key`)
  for await (const { object_key } of sorted) yield object_key as string
}

/** What a statement gives, through a cursor of PostgreSQL. */
export async function* fetchRows(
  runner: QueryRunner,
  statement: string,
): AsyncGenerator<Record<string, unknown>> {
  await runner.startTransaction('READ COMMITTED')
  try {
    await runner.query('SET TRANSACTION READ ONLY')
    // The store may be listed for long between two rows.
    await runner.query('SET LOCAL idle_in_transaction_session_timeout = 0')
    await runner.query(`DECLARE s3file_rows NO SCROLL CURSOR FOR ${statement}`)
    let rows: Record<string, unknown>[]
    do {
      rows = await runner.query(`FETCH ${rowsPerFetch} FROM s3file_rows`)
      yield* rows
    } while (rows.length > 0)
  } finally {
    await runner.rollbackTransaction().catch(() => undefined) // It has changed nothing; what failed before tells more.
  }
}

async function* streamKeys(runner: QueryRunner, keys: string): AsyncGenerator<string> {
  // The store may be listed for longer between two rows than the server waits by default, a minute.
  await runner.query('SET SESSION net_write_timeout = 86400')
  try {
    const rows = await runner.stream(`SELECT object_key FROM ${keys} ORDER BY object_key`)
    for await (const { object_key } of rows as AsyncIterable<{ object_key: Buffer }>) {
      yield object_key.toString()
    }
  } finally {
    await runner.query('SET SESSION net_write_timeout = DEFAULT').catch(() => undefined)
  }
}

async function* pageKeys(runner: QueryRunner, keys: string): AsyncGenerator<string> {
  const page = (where: string) =>
    `SELECT DISTINCT object_key FROM ${keys} ${where} ORDER BY object_key LIMIT ${keysPerPage}`
  const after = `WHERE object_key > ${dataSourceOf(runner).driver.createParameter('key', 0)}`
  let rows: { object_key: string }[] = await runner.query(page(''))
  while (rows.length > 0) {
    for (const { object_key } of rows) yield object_key
    rows = await runner.query(page(after), [rows.at(-1)?.object_key])
  }
}
