import { createHash } from 'node:crypto'
import type { DataSource, EntityMetadata } from 'typeorm'
import type { ForeignKeyMetadata } from 'typeorm/metadata/ForeignKeyMetadata.js'
import { fileColumnsOfTable } from './file-columns.js'
import { nameInTrigger, refsOfRow } from './file-sql.js'
import { noteReleases } from './note-releases.js'

/** Foreign keys with ON DELETE CASCADE, from the one to the table that is deleted from down to that of the files. */
type Cascade = [ForeignKeyMetadata, ...ForeignKeyMetadata[]]

export interface CascadeTrigger {
  /** The table whose rows take others with them. */
  host: EntityMetadata
  /** Stays the same as long as the cascade does; 8 characters. */
  id: string
  /** What to do before a row goes. */
  statements: string[]
}

/**
 * MySQL fires no triggers for the rows that a foreign key takes along, so the tables they refer to, and those that
 * these refer to, look which files go with a row before it goes. A table that refers to itself is followed to any
 * depth; a circle of several tables is not gone round twice.
 */
export function cascadeTriggers(dataSource: DataSource, metadata: EntityMetadata): CascadeTrigger[] {
  const columns = fileColumnsOfTable(dataSource, metadata).filter(({ field }) => field.onRemove === 'delete')
  if (columns.length === 0) return []
  return cascadesInto(dataSource, metadata, []).map((cascade) => {
    const host = cascade[0].referencedEntityMetadata
    const { last, tables } = doomedRows(dataSource, host, cascade, namesOf(metadata.primaryColumns))
    const own = namesOf(metadata.primaryColumns).map((name) => [name, name] as const)
    const from =
      `${nameInTrigger(dataSource, host, metadata)} f ` +
      `INNER JOIN ${last} doomed ON ${equal(dataSource, 'f', 'doomed', own)}`
    // For each column anew: MariaDB forgets what OLD is in a common table expression that is referred to twice.
    const statements = columns.map((column) =>
      noteReleases(dataSource, {
        host,
        released: refsOfRow(dataSource, column, 'f'),
        rows: { with: `WITH RECURSIVE ${tables} `, from },
      }),
    )
    return { host, id: idOf(cascade), statements }
  })
}

/** The tables whose rows take rows of this one along by ON DELETE CASCADE, directly or through others. */
export function cascadingParents(dataSource: DataSource, metadata: EntityMetadata): EntityMetadata[] {
  const parents = cascadesInto(dataSource, metadata, []).map(([first]) => first.referencedEntityMetadata)
  return [...new Map(parents.map((parent) => [parent.tablePath, parent])).values()]
}

function cascadesInto(
  dataSource: DataSource,
  metadata: EntityMetadata,
  below: readonly EntityMetadata[],
): Cascade[] {
  const passed = [...below, metadata]
  return cascadingKeys(dataSource, metadata).flatMap((key): Cascade[] => {
    const parent = key.referencedEntityMetadata
    // The doomed rows of a tree are found along with those that doom them; only its own root needs a trigger.
    if (isWithinTable(key)) return below.length === 0 ? [[key]] : []
    if (passed.some(({ tablePath }) => tablePath === parent.tablePath)) return []
    const further = cascadesInto(dataSource, parent, passed)
    return [[key], ...further.map((cascade): Cascade => [...cascade, key])]
  })
}

/** Of all entities that share the table. */
function cascadingKeys(dataSource: DataSource, { tablePath }: EntityMetadata): ForeignKeyMetadata[] {
  const keys = dataSource.entityMetadatas
    .filter((metadata) => metadata.tablePath === tablePath)
    .flatMap(({ foreignKeys }) => foreignKeys)
    .filter(({ onDelete }) => onDelete === 'CASCADE')
  return [...new Map(keys.map((key) => [key.name, key])).values()]
}

/** Common table expressions of the rows that go, one for each table of the cascade: `d0` has those of the host. */
function doomedRows(
  dataSource: DataSource,
  host: EntityMetadata,
  cascade: Cascade,
  primaryNames: string[],
): { last: string; tables: string } {
  const levels = [host, ...cascade.map(({ entityMetadata }) => entityMetadata)]
  const tables = levels.map((metadata, depth) => {
    const within = cascadingKeys(dataSource, metadata).filter(isWithinTable)
    const next = cascade[depth]?.referencedColumnNames ?? primaryNames
    const names = new Set([...next, ...within.flatMap(({ referencedColumnNames }) => referencedColumnNames)])
    const select = (row: string) =>
      `SELECT ${[...names].map((name) => `${row}.${dataSource.driver.escape(name)}`).join(', ')}`
    const doomedBy = (key: ForeignKeyMetadata, doomed: string) => {
      const columns = key.columnNames.map(
        (name, index) => [name, key.referencedColumnNames[index] as string] as const,
      )
      return (
        `${select('r')} FROM ${nameInTrigger(dataSource, host, metadata)} r ` +
        `INNER JOIN ${doomed} up ON ${equal(dataSource, 'r', 'up', columns)}`
      )
    }
    const key = cascade[depth - 1]
    const first = key === undefined ? select('OLD') : doomedBy(key, `d${depth - 1}`)
    const rows = [first, ...within.map((own) => doomedBy(own, `d${depth}`))]
    const columnNames = [...names].map((name) => dataSource.driver.escape(name)).join(', ')
    return `d${depth} (${columnNames}) AS (${rows.join(' UNION ')})`
  })
  return { last: `d${cascade.length}`, tables: tables.join(', ') }
}

function equal(
  dataSource: DataSource,
  left: string,
  right: string,
  columns: (readonly [string, string])[],
): string {
  const name = (row: string, column: string) => `${row}.${dataSource.driver.escape(column)}`
  return columns.map(([mine, theirs]) => `${name(left, mine)} = ${name(right, theirs)}`).join(' AND ')
}

function isWithinTable({ entityMetadata, referencedEntityMetadata }: ForeignKeyMetadata): boolean {
  return entityMetadata.tablePath === referencedEntityMetadata.tablePath
}

function idOf(cascade: Cascade): string {
  const keys = cascade.map(({ entityMetadata, referencedTablePath, columnNames, referencedColumnNames }) => [
    entityMetadata.tablePath,
    columnNames,
    referencedTablePath,
    referencedColumnNames,
  ])
  return createHash('sha256').update(JSON.stringify(keys)).digest('hex').slice(0, 8)
}

function namesOf(columns: EntityMetadata['primaryColumns']): string[] {
  return columns.map(({ databaseName }) => databaseName)
}
