import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import { dialectOf, nameBeside, tableName } from './file-sql.js'
import { defineTriggers, hashIn } from './trigger-definitions.js'
import { triggerPrefix } from './trigger-names.js'

/**
 * How the triggers of a table are: `outdated` when some are missing, made by another definition, or left over; then they
 * are not relied on.
 */
export type TriggerState = 'complete' | 'outdated' | 'none'

interface InstalledTrigger {
  name: string
  body: string
}

const answers = new WeakMap<DataSource, Map<string, Promise<TriggerState>>>()

/** Whether the table of an entity has all triggers of `fileTriggers()`, as they are to be. */
export async function hasTriggers(runner: QueryRunner, metadata: EntityMetadata): Promise<boolean> {
  return (await triggersOf(runner, metadata)) === 'complete'
}

/**
 * How the triggers of an entity's table are. Asks the database once for each table. MySQL shows triggers only to a user
 * with the privilege TRIGGER: to others there are none.
 */
export function triggersOf(runner: QueryRunner, metadata: EntityMetadata): Promise<TriggerState> {
  const known = answers.get(runner.dataSource) ?? new Map<string, Promise<TriggerState>>()
  answers.set(runner.dataSource, known)
  let answer = known.get(metadata.tablePath)
  if (answer === undefined) {
    answer = compare(runner, metadata)
    known.set(metadata.tablePath, answer)
    answer.catch(() => known.delete(metadata.tablePath))
  }
  return answer
}

/** Forgets what was asked before: triggers have come or gone. */
export function forgetTriggers(dataSource: DataSource): void {
  answers.delete(dataSource)
}

async function compare(runner: QueryRunner, metadata: EntityMetadata): Promise<TriggerState> {
  const expected = new Map(
    defineTriggers(runner.dataSource, metadata).triggers.map(({ name, hash }) => [name, hash]),
  )
  const installed = await installedTriggers(runner, metadata, [...expected.keys()])
  if (installed.length === 0) return 'none'
  const isAsExpected = installed.every(({ name, body }) => expected.get(name) === hashIn(body))
  if (isAsExpected && installed.length === expected.size) return 'complete'
  const { dataSource } = runner
  const names = installed.map(({ name }) => name).join(', ')
  process.emitWarning(
    `the triggers of table '${metadata.tablePath}' (${names}) are not those of ${metadata.name} as it is now, and are not ` +
      `relied on: bulk statements may leave objects behind. Make them anew in a migration: ` +
      `await createFileTriggers(queryRunner, ${metadata.name})`,
    { code: 'S3FILE_TRIGGERS', detail: `database ${String(dataSource.driver.database)}` },
  )
  return 'outdated'
}

/** This package's triggers on a table, whatever they are called, and those of these names on other tables. */
export async function installedTriggers(
  runner: QueryRunner,
  metadata: EntityMetadata,
  names: readonly string[] = [],
): Promise<InstalledTrigger[]> {
  const { dataSource } = runner
  const isLike = (prefix: string) => `LIKE '${prefix.replaceAll('_', '|_')}%' ESCAPE '|'`
  // A trigger that looks at another table says nothing of its own one.
  const isOurs = (name: string) =>
    `${name} ${isLike(triggerPrefix)} AND ${name} NOT ${isLike(`${triggerPrefix}cascade_`)}`
  switch (dialectOf(dataSource)) {
    case 'postgres':
      return runner.query(
        'SELECT t.tgname AS name, p.prosrc AS body FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid ' +
          `WHERE t.tgrelid = $1::regclass AND t.tgenabled <> 'D' AND ${isOurs('t.tgname')}`,
        [tableName(dataSource, metadata)],
      )
    case 'mysql': {
      const cascades = names.filter((name) => name.startsWith(`${triggerPrefix}cascade_`))
      const others =
        cascades.length === 0 ? '' : ` OR trigger_name IN (${cascades.map(() => '?').join(', ')})`
      return runner.query(
        'SELECT trigger_name AS name, action_statement AS body FROM information_schema.triggers ' +
          `WHERE event_object_schema = COALESCE(?, DATABASE()) AND (event_object_table = ? AND ${isOurs('trigger_name')}${others})`,
        [metadata.database ?? null, metadata.tableName, ...cascades],
      )
    }
    case 'sqlite':
      return runner.query(
        `SELECT name, sql AS body FROM ${nameBeside(dataSource, metadata, 'sqlite_master')} ` +
          `WHERE type = 'trigger' AND tbl_name = ? AND ${isOurs('name')}`,
        [metadata.tableName],
      )
  }
}
