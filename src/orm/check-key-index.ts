import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import type { Finding } from '../core/finding.js'
import type { FileColumn } from './file-columns.js'
import { type Dialect, dialectOf, nameBeside, refsOfRow, tableName } from './file-sql.js'
import { dataSourceOf } from './typeorm-versions.js'

/** Rows that a database looks through at once without an index. */
const manyRows = 10_000

/** Whether looking for other rows with the same object, as each deletion does, is quick on a table of that size. */
export async function checkKeyIndex(
  runner: QueryRunner,
  metadata: EntityMetadata,
  file: FileColumn,
): Promise<string | Omit<Finding, 'check'>> {
  const dataSource = dataSourceOf(runner)
  const { field, column, propertyPath } = file
  const label = `${metadata.name}.${propertyPath}`
  const name = tableName(dataSource, metadata)
  const rows = await runner.query(
    `SELECT COUNT(*) AS count FROM (SELECT 1 FROM ${name} LIMIT ${manyRows}) first_rows`,
  )
  if (Number(rows[0].count) < manyRows)
    return `${label}: less than ${manyRows} rows, which need no index on the key`
  const escaped = dataSource.driver.escape(column.databaseName)
  const index = dataSource.driver.escape(`${metadata.tableName}_${column.databaseName}_key`)
  const isIndexed =
    field.layout === 'json'
      ? await hasJsonIndex(runner, metadata, column.databaseName)
      : await hasIndex(runner, metadata, column.databaseName)
  if (isIndexed) return `${label} has an index on the key`
  const message = `${label} has many rows and no index on the key: each deletion of an object reads the whole table`
  const fix = isIndexable(file, dialectOf(dataSource))
    ? `CREATE INDEX ${index} ON ${name} (${field.layout === 'json' ? `(${searchOf(dataSource, file)})` : escaped})`
    : "No index reaches into that JSON: keep the file in columns, @S3FileField({ layout: 'columns' })"
  return { status: 'warning', message, fix }
}

/** Of JSON, only what is deterministic and gives one key for each row. */
function isIndexable({ field, column }: FileColumn, dialect: Dialect): boolean {
  if (field.layout !== 'json') return true
  const isChecked = dialect === 'postgres' && !['json', 'jsonb'].includes(String(column.type))
  return dialect !== 'mysql' && !field.isMultiple && !isChecked
}

/** What is compared with keys, as an index has it. */
function searchOf(dataSource: DataSource, file: FileColumn): string {
  const column = dataSource.driver.escape(file.column.databaseName)
  return refsOfRow(dataSource, file, 'f').search.replaceAll(`f.${column}`, column)
}

async function hasIndex(runner: QueryRunner, metadata: EntityMetadata, column: string): Promise<boolean> {
  const table = await runner.getTable(metadata.tablePath)
  const keys = [...(table?.indices ?? []), ...(table?.uniques ?? [])].map(({ columnNames }) => columnNames[0])
  return keys.includes(column)
}

/** Of an expression on the column with `key` in it. */
async function hasJsonIndex(runner: QueryRunner, metadata: EntityMetadata, column: string): Promise<boolean> {
  const dataSource = dataSourceOf(runner)
  const rows: { sql: string | null }[] = await {
    postgres: () =>
      runner.query('SELECT pg_get_indexdef(indexrelid) AS sql FROM pg_index WHERE indrelid = $1::regclass', [
        tableName(dataSource, metadata),
      ]),
    mysql: async () => [],
    sqlite: () =>
      runner.query(
        `SELECT sql FROM ${nameBeside(dataSource, metadata, 'sqlite_master')} WHERE type = 'index' AND tbl_name = ?`,
        [metadata.tableName],
      ),
  }[dialectOf(dataSource)]()
  return rows.some(({ sql }) => sql?.includes(column) && /->> 'key'|\$\.key/.test(sql))
}
