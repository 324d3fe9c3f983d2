import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import { dialectOf, tableName } from './file-sql.js'

/** What the names of this package's triggers begin with. */
export const triggerPrefix = 's3file_'

const answers = new WeakMap<DataSource, Map<string, Promise<boolean>>>()

/** Whether the table of an entity has the triggers of `fileTriggers()`. Asks the database once for each table. */
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
  const ours = `LIKE '${triggerPrefix.replace('_', '|_')}%' ESCAPE '|'`
  const rows: unknown[] = await {
    postgres: () =>
      runner.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname ${ours}`, [
        tableName(dataSource, metadata),
      ]),
    mysql: () =>
      runner.query(
        'SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema = COALESCE(?, DATABASE()) ' +
          `AND event_object_table = ? AND trigger_name ${ours}`,
        [metadata.database ?? null, metadata.tableName],
      ),
    sqlite: () =>
      runner.query(
        `SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND name ${ours}`,
        [metadata.tableName],
      ),
  }[dialectOf(dataSource)]()
  return rows.length
}
