import { createHash } from 'node:crypto'
import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import { dialectOf, nameBeside, tableName } from './file-sql.js'

/** What the names of this package's triggers begin with. */
const triggerPrefix = 's3file_'

/** What it is for: `cascade` is on the table that a foreign key refers to, `json` is a function in PostgreSQL. */
export type TriggerKind = 'update' | 'delete' | 'truncate' | 'json' | 'cascade'

/** The longest name in bytes that all databases take. */
const maxNameBytes = 63

/** The name of a trigger, or of what belongs to it, for a table. A long table's name is shortened. */
export function triggerName(kind: TriggerKind, { tableName }: EntityMetadata, id?: string): string {
  const name = (table: string) => [triggerPrefix + kind, table, id].filter(Boolean).join('_')
  if (Buffer.byteLength(name(tableName)) <= maxNameBytes) return name(tableName)
  const hash = createHash('sha256').update(tableName).digest('hex').slice(0, 8)
  let short = tableName
  while (Buffer.byteLength(name(`${short}_${hash}`)) > maxNameBytes) short = short.slice(0, -1)
  return name(`${short}_${hash}`)
}

const answers = new WeakMap<DataSource, Map<string, Promise<boolean>>>()

/**
 * Whether the table of an entity has the triggers of `fileTriggers()`. Asks the database once for each table. MySQL
 * shows triggers only to a user with the privilege TRIGGER: to others there are none.
 */
export function hasTriggers(runner: QueryRunner, metadata: EntityMetadata): Promise<boolean> {
  const known = answers.get(runner.dataSource) ?? new Map<string, Promise<boolean>>()
  answers.set(runner.dataSource, known)
  let answer = known.get(metadata.tablePath)
  if (answer === undefined) {
    answer = countTriggers(runner, metadata).then((count) => count > 0)
    known.set(metadata.tablePath, answer)
    answer.catch(() => known.delete(metadata.tablePath))
  }
  return answer
}

/** Forgets what was asked before: triggers have come or gone. */
export function forgetTriggers(dataSource: DataSource): void {
  answers.delete(dataSource)
}

async function countTriggers(runner: QueryRunner, metadata: EntityMetadata): Promise<number> {
  const { dataSource } = runner
  const ours = (name: string) => {
    const isLike = (prefix: string) => `LIKE '${prefix.replaceAll('_', '|_')}%' ESCAPE '|'`
    // A trigger that looks at another table says nothing of its own one.
    return `${name} ${isLike(triggerPrefix)} AND ${name} NOT ${isLike(`${triggerPrefix}cascade_`)}`
  }
  const rows: unknown[] = await {
    postgres: () =>
      runner.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND ${ours('tgname')}`, [
        tableName(dataSource, metadata),
      ]),
    mysql: () =>
      runner.query(
        'SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema = COALESCE(?, DATABASE()) ' +
          `AND event_object_table = ? AND ${ours('trigger_name')}`,
        [metadata.database ?? null, metadata.tableName],
      ),
    sqlite: () =>
      runner.query(
        `SELECT name FROM ${nameBeside(dataSource, metadata, 'sqlite_master')} ` +
          `WHERE type = 'trigger' AND tbl_name = ? AND ${ours('name')}`,
        [metadata.tableName],
      ),
  }[dialectOf(dataSource)]()
  return rows.length
}
