import type { DataSource, EntityMetadata } from 'typeorm'
import type { FileColumn } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { type Dialect, dialectOf, nameInTrigger, type ParseJson, refsOfRow } from './file-sql.js'

interface Words {
  /** An expression that compares byte by byte, whatever the collation of its column. */
  exact: (text: string) => string
  /** The text of such an expression again. */
  text: (exact: string) => string
  newId: string
  /** As `Date.toISOString()` has it. */
  now: string
}

const words: Record<Dialect, Words> = {
  postgres: {
    exact: (text) => `${text} COLLATE "C"`,
    text: (exact) => exact,
    newId: 'gen_random_uuid()::text',
    now: `to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
  },
  mysql: {
    exact: (text) => `CAST(CONVERT(${text} USING utf8mb4) AS BINARY)`,
    text: (exact) => `CONVERT(${exact} USING utf8mb4)`,
    newId: 'UUID()',
    now: "CONCAT(LEFT(DATE_FORMAT(UTC_TIMESTAMP(3), '%Y-%m-%dT%H:%i:%s.%f'), 23), 'Z')",
  },
  sqlite: {
    exact: (text) => `${text} COLLATE BINARY`,
    text: (exact) => exact,
    newId: 'lower(hex(randomblob(16)))',
    now: "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
  },
}

/**
 * A query of the objects that file columns of `row` refer to.
 *
 * @param from what to select `row` from, unless it is OLD or NEW.
 */
export function selectRefs(
  dataSource: DataSource,
  columns: readonly FileColumn[],
  row: string,
  { from, parse }: { from?: string; parse?: ParseJson | undefined } = {},
): string {
  const { exact } = words[dialectOf(dataSource)]
  const selects = columns.map((column) => {
    const { key, storage, each } = refsOfRow(dataSource, column, row, parse)
    const sources = [from, each].filter((source) => source !== undefined)
    return (
      `SELECT DISTINCT ${exact(key)} AS object_key, ${exact(storage)} AS storage_name` +
      (sources.length === 0 ? '' : ` FROM ${sources.join(', ')}`)
    )
  })
  return selects.join(' UNION ')
}

/**
 * What a trigger on `host` does: writes an entry of the journal for each object of `released`, a query of
 * `selectRefs()`, that is not among those of `kept`. Leaves out what no entry has room for: it is no object's name.
 */
export function noteReleases(
  dataSource: DataSource,
  host: EntityMetadata,
  released: string,
  kept?: string,
): string {
  const { metadata: journal } = FileJournal.of(dataSource) as FileJournal
  const { text, newId, now } = words[dialectOf(dataSource)]
  const values = {
    id: newId,
    reason: "'release'",
    storage: text('gone.storage_name'),
    key: text('gone.object_key'),
    since: now,
    dueAt: now,
    attempts: '0',
  }
  const names = Object.keys(values).map((property) =>
    dataSource.driver.escape(journal.findColumnWithPropertyName(property)?.databaseName as string),
  )
  const isKept =
    kept === undefined
      ? ''
      : ` AND NOT EXISTS (SELECT 1 FROM (${kept}) kept ` +
        'WHERE kept.object_key = gone.object_key AND kept.storage_name = gone.storage_name)'
  return (
    `INSERT INTO ${nameInTrigger(dataSource, host, journal)} (${names.join(', ')}) ` +
    `SELECT ${Object.values(values).join(', ')} FROM (${released}) gone ` +
    `WHERE length(gone.object_key) BETWEEN 1 AND 1024 AND length(gone.storage_name) BETWEEN 1 AND 100${isKept}`
  )
}
