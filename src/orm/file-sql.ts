import type { DataSource, EntityMetadata } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import type { FileColumn } from './file-columns.js'

/** The databases whose SQL is known here. */
export type Dialect = 'postgres' | 'mysql' | 'sqlite'

const dialects: Record<string, Dialect> = {
  postgres: 'postgres',
  'aurora-postgres': 'postgres',
  mysql: 'mysql',
  mariadb: 'mysql',
  'aurora-mysql': 'mysql',
  sqljs: 'sqlite',
  'better-sqlite3': 'sqlite',
}

/** @throws ConfigurationError `unknown-layout` for a database of another kind. */
export function dialectOf(dataSource: DataSource): Dialect {
  const dialect = dialects[dataSource.options.type]
  if (dialect === undefined) {
    throw new ConfigurationError(
      'unknown-layout',
      `the lifecycle of files knows PostgreSQL, MySQL, MariaDB and SQLite, not '${dataSource.options.type}'`,
    )
  }
  return dialect
}

/** Whether all of a process share one connection, and with it each other's transactions. */
export function sharesConnection({ options }: DataSource): boolean {
  return dialects[options.type] === 'sqlite'
}

/** A text as a literal. */
export function literal(dialect: Dialect, text: string): string {
  const quoted = text.replaceAll("'", "''")
  return `'${dialect === 'mysql' ? quoted.replaceAll('\\', '\\\\') : quoted}'`
}

/** A table's name as statements have it, quoted. */
export function tableName(dataSource: DataSource, { tablePath }: EntityMetadata): string {
  return tablePath
    .split('.')
    .map((part) => dataSource.driver.escape(part))
    .join('.')
}

/** What locks the rows that a SELECT finds until the transaction ends. SQLite locks the whole database by itself. */
export function lockClause(dataSource: DataSource): string {
  return dialectOf(dataSource) === 'sqlite' ? '' : ' FOR UPDATE'
}

/** How to say in SQL which objects a row refers to. */
export interface RowRefs {
  /** Expressions; null where the row refers to none. */
  key: string
  storage: string
  /** What to add to `FROM`, behind the row, where a column has several files. */
  each: string | undefined
}

/**
 * The objects that a file column of `row` refers to: `row` is a table's alias, or OLD or NEW in a trigger. What is no
 * record of a file gives null, as an empty column does.
 */
export function refsOfRow(dataSource: DataSource, file: FileColumn, row: string): RowRefs {
  const dialect = dialectOf(dataSource)
  const name = (databaseName: string) => `${row}.${dataSource.driver.escape(databaseName)}`
  const column = name(file.column.databaseName)
  const { layout, rules, isMultiple } = file.field
  const ownStorage = literal(dialect, rules.storage ?? 'default')
  if (layout === 'key') {
    return { key: `NULLIF(${column}, '')`, storage: ownStorage, each: undefined }
  }
  if (file.storageColumn !== undefined) {
    const storage = `COALESCE(${name(file.storageColumn.databaseName)}, ${ownStorage})`
    return { key: column, storage, each: undefined }
  }
  return (isMultiple ? refsInList : refsInRecord)[dialect](column, String(file.column.type))
}

type InJson = Record<Dialect, (column: string, type: string) => RowRefs>

const refsInRecord: InJson = {
  postgres: (column, type) => {
    const json = isJsonType(type) ? column : `(CASE WHEN ${column} LIKE '{%' THEN ${column}::jsonb END)`
    return { key: `(${json} ->> 'key')`, storage: `(${json} ->> 'storage')`, each: undefined }
  },
  mysql: (column) => {
    const part = (name: string) =>
      `IF(JSON_VALID(${column}), JSON_UNQUOTE(JSON_EXTRACT(${column}, '$.${name}')), NULL)`
    return { key: part('key'), storage: part('storage'), each: undefined }
  },
  sqlite: (column) => {
    const part = (name: string) =>
      `(CASE WHEN json_valid(${column}) THEN json_extract(${column}, '$.${name}') END)`
    return { key: part('key'), storage: part('storage'), each: undefined }
  },
}

const refsInList: InJson = {
  postgres: (column, type) => {
    const text = isJsonType(type) ? `${column}::text` : column
    return {
      key: "(item.record ->> 'key')",
      storage: "(item.record ->> 'storage')",
      each: `jsonb_array_elements(CASE WHEN ${text} LIKE '[%' THEN ${column}::jsonb ELSE '[]'::jsonb END) AS item(record)`,
    }
  },
  mysql: (column) => ({
    key: 'item.object_key',
    storage: 'item.storage_name',
    each:
      `JSON_TABLE(IF(JSON_VALID(${column}), ${column}, '[]'), '$[*]' COLUMNS (` +
      "object_key VARCHAR(1024) CHARACTER SET utf8mb4 PATH '$.key', " +
      "storage_name VARCHAR(100) CHARACTER SET utf8mb4 PATH '$.storage')) AS item",
  }),
  sqlite: (column) => ({
    key: "json_extract(item.value, '$.key')",
    storage: "json_extract(item.value, '$.storage')",
    each: `json_each(CASE WHEN json_valid(${column}) THEN ${column} ELSE '[]' END) AS item`,
  }),
}

function isJsonType(type: string): boolean {
  return type === 'json' || type === 'jsonb'
}
