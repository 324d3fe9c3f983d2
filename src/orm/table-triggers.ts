import type { DataSource, EntityMetadata } from 'typeorm'
import { type FileColumn, fileColumnsOfTable } from './file-columns.js'
import { type Dialect, dialectOf, type ParseJson, refsOfRow, tableName } from './file-sql.js'
import { noteReleases } from './note-releases.js'

/** A trigger of the table that has the files. */
export interface TableTrigger {
  kind: 'update' | 'delete' | 'truncate'
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

/** What has to be noted of the changes of a table, if anything: a field may say that its objects stay. */
export function tableTriggers(
  dataSource: DataSource,
  metadata: EntityMetadata,
  parse?: ParseJson,
): TableTrigger[] {
  const { driver } = dataSource
  const dialect = dialectOf(dataSource)
  const columns = fileColumnsOfTable(dataSource, metadata)
  const onReplace = columns.filter(({ field }) => field.onReplace === 'delete')
  const onRemove = columns.filter(({ field }) => field.onRemove === 'delete')
  const refs = (column: FileColumn, row: string) => refsOfRow(dataSource, column, row, parse)
  const triggers: TableTrigger[] = []
  if (onReplace.length > 0) {
    const parts = onReplace.flatMap(partsOf)
    const names = parts.map(({ databaseName }) => driver.escape(databaseName))
    const isChanged = parts.map(({ databaseName, type }) =>
      differs[dialect](driver.escape(databaseName), type === 'json'),
    )
    const kept = columns.map((column) => refs(column, 'NEW'))
    triggers.push({
      kind: 'update',
      event: dialect === 'mysql' ? 'AFTER UPDATE' : `AFTER UPDATE OF ${names.join(', ')}`,
      condition: isChanged.join(' OR '),
      statements: onReplace.map((column) =>
        noteReleases(dataSource, { host: metadata, released: refs(column, 'OLD'), kept }),
      ),
    })
  }
  if (onRemove.length > 0) {
    triggers.push({
      kind: 'delete',
      event: 'AFTER DELETE',
      condition: onRemove
        .map(({ column }) => `OLD.${driver.escape(column.databaseName)} IS NOT NULL`)
        .join(' OR '),
      statements: onRemove.map((column) =>
        noteReleases(dataSource, { host: metadata, released: refs(column, 'OLD') }),
      ),
    })
  }
  if (onRemove.length > 0 && dialect === 'postgres') {
    const rows = { from: `${tableName(dataSource, metadata)} f` }
    triggers.push({
      kind: 'truncate',
      event: 'BEFORE TRUNCATE',
      condition: undefined,
      statements: onRemove.map((column) =>
        noteReleases(dataSource, { host: metadata, released: refs(column, 'f'), rows }),
      ),
    })
  }
  return triggers
}

/** The columns that say which object it is. */
function partsOf({ column, storageColumn }: FileColumn) {
  return storageColumn === undefined ? [column] : [storageColumn, column]
}
