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
      `file fields do not support databases of type '${dataSource.options.type}'; supported: ${Object.keys(dialects).join(', ')}`,
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

/** A text so that it is compared and sorted by its UTF-8 bytes. MySQL gives it as a Buffer. */
export function byBytes(dialect: Dialect, expression: string): string {
  switch (dialect) {
    case 'postgres':
      return `CAST(${expression} AS text) COLLATE "C"`
    case 'mysql':
      return `CAST(CONVERT(${expression} USING utf8mb4) AS BINARY)`
    case 'sqlite':
      return `CAST(${expression} AS TEXT)`
  }
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
  const clauses: Record<Dialect, string> = {
    // As an UPDATE does: rows with a foreign key to these can be inserted meanwhile.
    postgres: ' FOR NO KEY UPDATE',
    mysql: ' FOR UPDATE',
    sqlite: '',
  }
  return clauses[dialectOf(dataSource)]
}

/** The name of something else that is in the schema, or the database, of a table, quoted. */
export function nameBeside(dataSource: DataSource, { tablePath }: EntityMetadata, name: string): string {
  const schema = tablePath.split('.').slice(0, -1)
  return [...schema, name].map((part) => dataSource.driver.escape(part)).join('.')
}

/** A table's name as a trigger on `host` has it: MySQL looks for it beside that table, SQLite knows none elsewhere. */
export function nameInTrigger(
  dataSource: DataSource,
  host: EntityMetadata,
  metadata: EntityMetadata,
): string {
  const { driver } = dataSource
  const dialect = dialectOf(dataSource)
  if (dialect === 'sqlite') return driver.escape(metadata.tableName)
  const isElsewhere = dialect === 'mysql' && host.database !== undefined && metadata.database === undefined
  const name = tableName(dataSource, metadata)
  return isElsewhere && driver.database !== undefined ? `${driver.escape(driver.database)}.${name}` : name
}

/** How to say in SQL which objects a row refers to. */
export interface RowRefs {
  /** Expressions; null where the row refers to none. */
  key: string
  storage: string
  /** What to look for keys in: `key` without what would keep an index from being used. */
  search: string
  /** What to add to `FROM`, behind the row, where a column has several files. */
  each: string | undefined
}

/** Makes PostgreSQL's jsonb of an expression with a text: null of what is no JSON. */
export type ParseJson = (text: string) => string

/**
 * The objects that a file column of `row` refers to: `row` is a table's alias, or OLD or NEW in a trigger. What is no
 * record of a file gives null, as an empty column does.
 */
export function refsOfRow(
  dataSource: DataSource,
  file: FileColumn,
  row: string,
  parse: ParseJson = parserOf(dataSource),
): RowRefs {
  const dialect = dialectOf(dataSource)
  const name = (databaseName: string) => `${row}.${dataSource.driver.escape(databaseName)}`
  const column = name(file.column.databaseName)
  const { layout, rules, isMultiple } = file.field
  const ownStorage = literal(dialect, rules.storage ?? 'default')
  if (layout === 'key') {
    return { key: `NULLIF(${column}, '')`, storage: ownStorage, search: column, each: undefined }
  }
  if (file.storageColumn !== undefined) {
    const storage = `COALESCE(${name(file.storageColumn.databaseName)}, ${ownStorage})`
    return { key: column, storage, search: column, each: undefined }
  }
  const refs = (isMultiple ? refsInList : refsInRecord)[dialect]({
    column,
    type: String(file.column.type),
    item: `${row}_item`,
    parse,
  })
  return { ...refs, search: refs.key }
}

/** Whether a column keeps JSON in a type that takes any text. */
export function isJsonText({ field, column }: FileColumn): boolean {
  return field.layout === 'json' && !jsonTypes.includes(String(column.type))
}

const jsonTypes = ['json', 'jsonb']

interface JsonColumn {
  column: string
  type: string
  /** The alias of an element of a list. */
  item: string
  parse: ParseJson
}

type InJson = Record<Dialect, (column: JsonColumn) => Omit<RowRefs, 'search'>>

const refsInRecord: InJson = {
  postgres: ({ column, type, parse }) => {
    const json = jsonTypes.includes(type) ? column : parse(column)
    return { key: `(${json} ->> 'key')`, storage: `(${json} ->> 'storage')`, each: undefined }
  },
  mysql: ({ column }) => {
    const part = (name: string) => {
      const value = `JSON_EXTRACT(${column}, '$.${name}')`
      // JSON_UNQUOTE makes the text 'null' of JSON's null.
      return `IF(JSON_VALID(${column}), IF(JSON_TYPE(${value}) = 'STRING', JSON_UNQUOTE(${value}), NULL), NULL)`
    }
    return { key: part('key'), storage: part('storage'), each: undefined }
  },
  sqlite: ({ column, type }) => {
    const part = (name: string) =>
      `(CASE WHEN ${isValidInSqlite(column, type)} THEN json_extract(${column}, '$.${name}') END)`
    return { key: part('key'), storage: part('storage'), each: undefined }
  },
}

/** A single record is a list of one, as the column's reader has it. */
const refsInList: InJson = {
  postgres: ({ column, type, item, parse }) => {
    const [json, kind] = jsonTypes.includes(type) ? [column, type] : [parse(column), 'jsonb']
    return {
      key: `(${item}.record ->> 'key')`,
      storage: `(${item}.record ->> 'storage')`,
      each:
        `${kind}_array_elements(CASE WHEN ${json} IS NULL THEN '[]' ` +
        `WHEN ${kind}_typeof(${json}) = 'array' THEN ${json} ELSE ${kind}_build_array(${json}) END) ` +
        `AS ${item}(record)`,
    }
  },
  mysql: ({ column, item }) => ({
    key: `${item}.object_key`,
    storage: `${item}.storage_name`,
    each:
      `JSON_TABLE(CASE WHEN NOT COALESCE(JSON_VALID(${column}), FALSE) THEN '[]' ` +
      `WHEN JSON_TYPE(${column}) = 'ARRAY' THEN ${column} ELSE CONCAT('[', ${column}, ']') END, '$[*]' COLUMNS (` +
      "object_key VARCHAR(1024) CHARACTER SET utf8mb4 PATH '$.key', " +
      `storage_name VARCHAR(100) CHARACTER SET utf8mb4 PATH '$.storage')) AS ${item}`,
  }),
  sqlite: ({ column, type, item }) => {
    const part = (name: string) =>
      `(CASE ${item}.type WHEN 'object' THEN json_extract(${item}.value, '$.${name}') END)`
    const list = `CASE json_type(${column}) WHEN 'array' THEN ${column} ELSE json_array(json(${column})) END`
    return {
      key: part('key'),
      storage: part('storage'),
      each: `json_each(CASE WHEN ${isValidInSqlite(column, type)} THEN ${list} ELSE '[]' END) AS ${item}`,
    }
  },
}

export function parserOf({ driver }: DataSource): ParseJson {
  // PostgreSQL 16 and later can tell; before, what looks like JSON has to be.
  const isAskable = Number.parseInt(driver.version ?? '', 10) >= 16
  const check = (text: string) =>
    isAskable ? `pg_input_is_valid(${text}, 'jsonb')` : `${text} ~ '^\\s*[[{]'`
  return (text) => `(CASE WHEN ${check(text)} THEN ${text}::jsonb END)`
}

/** 6: JSON as text, or in SQLite's own binary form. */
function isValidInSqlite(column: string, type: string): string {
  return type === 'jsonb' ? `json_valid(${column}, 6)` : `json_valid(${column})`
}
