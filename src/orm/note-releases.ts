import type { DataSource, EntityMetadata } from 'typeorm'
import { FileJournal } from './file-journal.js'
import { type Dialect, dialectOf, nameInTrigger, type RowRefs } from './file-sql.js'

interface Words {
  /** An expression that compares byte by byte, whatever the collation of its column. */
  exact: (text: string) => string
  newId: string
  /** As `Date.toISOString()` has it. */
  now: string
  /** What a query without a table selects from. */
  nothing: string | undefined
}

const words: Record<Dialect, Words> = {
  postgres: {
    exact: (text) => `${text} COLLATE "C"`,
    newId: 'gen_random_uuid()::text',
    now: `to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
    nothing: undefined,
  },
  mysql: {
    exact: (text) => `CAST(CONVERT(${text} USING utf8mb4) AS BINARY)`,
    newId: 'UUID()',
    now: "CONCAT(LEFT(DATE_FORMAT(UTC_TIMESTAMP(3), '%Y-%m-%dT%H:%i:%s.%f'), 23), 'Z')",
    nothing: 'DUAL',
  },
  sqlite: {
    exact: (text) => `${text} COLLATE BINARY`,
    newId: 'lower(hex(randomblob(16)))',
    now: "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    nothing: undefined,
  },
}

export function triggerWords(dialect: Dialect): Words {
  return words[dialect]
}

/** The FROM of a query, with what there is to select from. */
export function fromClause(dialect: Dialect, ...sources: (string | undefined)[]): string {
  const given = sources.filter((source) => source !== undefined).join(', ') || words[dialect].nothing
  return given === undefined ? '' : ` FROM ${given}`
}

export interface Releases {
  /** The table of the trigger. */
  host: EntityMetadata
  /** The objects that are let go. */
  released: RowRefs
  /** What to select the rows of `released` from, unless they are OLD. */
  rows?: { with?: string; from: string }
  /** The objects that are not. */
  kept?: RowRefs[]
}

/**
 * What a trigger does: writes an entry of the journal for each object that a column lets go. Leaves out what no entry
 * has room for: it is no object's name.
 */
export function noteReleases(
  dataSource: DataSource,
  { host, released: { key, storage, each }, rows, kept = [] }: Releases,
): string {
  const { metadata: journal } = FileJournal.of(dataSource) as FileJournal
  const dialect = dialectOf(dataSource)
  const { exact, newId, now } = words[dialect]
  const from = (...sources: (string | undefined)[]) => fromClause(dialect, ...sources)
  const values = {
    id: newId,
    reason: "'release'",
    storage,
    key,
    since: now,
    dueAt: now,
    attempts: '0',
  }
  const names = Object.keys(values).map((property) =>
    dataSource.driver.escape(journal.findColumnWithPropertyName(property)?.databaseName as string),
  )
  const conditions = [
    `length(${key}) BETWEEN 1 AND 1024`,
    `length(${storage}) BETWEEN 1 AND 100`,
    ...kept.map(
      (other) =>
        `NOT EXISTS (SELECT 1${from(other.each)} WHERE ${exact(other.key)} = ${exact(key)} ` +
        `AND ${exact(other.storage)} = ${exact(storage)})`,
    ),
  ]
  return (
    `INSERT INTO ${nameInTrigger(dataSource, host, journal)} (${names.join(', ')}) ${rows?.with ?? ''}` +
    `SELECT ${Object.values(values).join(', ')}${from(rows?.from, each)} WHERE ${conditions.join(' AND ')}`
  )
}
