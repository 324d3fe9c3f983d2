import type { DataSource, EntityMetadata } from 'typeorm'
import { type FileColumn, fileColumnsOfTable } from './file-columns.js'
import { type Dialect, dialectOf, type ParseJson, type RowRefs, refsOfRow, tableName } from './file-sql.js'
import { noteArrivals } from './note-arrivals.js'
import { noteReleases } from './note-releases.js'

/** A trigger of the table that has the files. */
export interface TableTrigger {
  kind: 'insert' | 'update' | 'delete' | 'truncate'
  /** Such as `AFTER DELETE`. */
  event: string
  /** Which rows it is for; undefined for a trigger of a whole statement. */
  condition: string | undefined
  statements: string[]
}

const differs: Record<Dialect, (column: string, isJson: boolean) => string> = {
  postgres: (column) => `OLD.${column}::text COLLATE "C" IS DISTINCT FROM NEW.${column}::text COLLATE "C"`,
  mysql: (column, isJson) =>
    isJson
      ? `NOT (OLD.${column} <=> NEW.${column})`
      : `NOT (CAST(OLD.${column} AS BINARY) <=> CAST(NEW.${column} AS BINARY))`,
  sqlite: (column) => `OLD.${column} COLLATE BINARY IS NOT NEW.${column}`,
}

/** How the SQL of triggers depends on where it is made. */
export interface TriggerContext {
  parse?: ParseJson | undefined
  /** Of the journal's keys; MySQL only. */
  collation?: string | undefined
}

/** What has to be noted of the changes of a table, if anything: a field may say that its objects stay. */
export function tableTriggers(
  dataSource: DataSource,
  metadata: EntityMetadata,
  { parse, collation }: TriggerContext = {},
): TableTrigger[] {
  const { driver } = dataSource
  const dialect = dialectOf(dataSource)
  const columns = fileColumnsOfTable(dataSource, metadata)
  const onReplace = columns.filter(({ field }) => field.onReplace === 'delete')
  const onRemove = columns.filter(({ field }) => field.onRemove === 'delete')
  if (onReplace.length + onRemove.length === 0) return []
  const refs = (column: FileColumn, row: string) => refsOfRow(dataSource, column, row, parse)
  const all = (row: string) => columns.map((column) => refs(column, row))
  const isFilled = (some: FileColumn[], row: string) =>
    some.map(({ column }) => `${row}.${driver.escape(column.databaseName)} IS NOT NULL`).join(' OR ')
  const parts = columns.flatMap(partsOf)
  const names = parts.map(({ databaseName }) => driver.escape(databaseName))
  const isChanged = parts.map(({ databaseName, type }) =>
    differs[dialect](driver.escape(databaseName), type === 'json'),
  )
  const arrivals = (before: RowRefs[]) =>
    columns.flatMap((column) =>
      noteArrivals(dataSource, { host: metadata, arrived: refs(column, 'NEW'), before, collation }),
    )
  const triggers: TableTrigger[] = [
    {
      kind: 'insert',
      event: 'AFTER INSERT',
      condition: isFilled(columns, 'NEW'),
      statements: arrivals([]),
    },
    {
      kind: 'update',
      event: dialect === 'mysql' ? 'AFTER UPDATE' : `AFTER UPDATE OF ${names.join(', ')}`,
      condition: isChanged.join(' OR '),
      statements: [
        ...arrivals(all('OLD')),
        ...onReplace.map((column) =>
          noteReleases(dataSource, { host: metadata, released: refs(column, 'OLD'), kept: all('NEW') }),
        ),
      ],
    },
  ]
  if (onRemove.length === 0) return triggers
  triggers.push({
    kind: 'delete',
    event: 'AFTER DELETE',
    condition: isFilled(onRemove, 'OLD'),
    statements: onRemove.map((column) =>
      noteReleases(dataSource, { host: metadata, released: refs(column, 'OLD') }),
    ),
  })
  if (dialect !== 'postgres') return triggers
  const rows = { from: `${tableName(dataSource, metadata)} f` }
  triggers.push({
    kind: 'truncate',
    event: 'BEFORE TRUNCATE',
    condition: undefined,
    statements: [
      // It takes rows that such a transaction does not see.
      "IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN RAISE EXCEPTION " +
        "'s3file: TRUNCATE would lose files in a transaction of this isolation level; use READ COMMITTED, or DELETE'; END IF",
      ...onRemove.map((column) =>
        noteReleases(dataSource, { host: metadata, released: refs(column, 'f'), rows }),
      ),
    ],
  })
  return triggers
}

/** The columns that say which object it is. */
function partsOf({ column, storageColumn }: FileColumn) {
  return storageColumn === undefined ? [column] : [storageColumn, column]
}
