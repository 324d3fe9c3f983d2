import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import { cascadingParents } from './cascade-triggers.js'
import { FileJournal } from './file-journal.js'
import { dialectOf, nameBeside, tableName } from './file-sql.js'
import { defineTriggers, hashIn } from './trigger-definitions.js'
import { triggerName, triggerPrefix } from './trigger-names.js'
import { dataSourceOf } from './typeorm-versions.js'

/**
 * How the triggers of a table are: `outdated` when some are missing, made by another definition, or left over; then they
 * are not relied on.
 */
type TriggerState = 'complete' | 'outdated' | 'none'

interface TriggerComparison {
  state: TriggerState
  /** How those that are there differ from those that are to be, such as `missing: s3file_update_document`. */
  differences: string[]
}

interface InstalledTrigger {
  name: string
  body: string
  /** The database of the table that it is on; MySQL only. */
  database?: string
}

const comparisons = new WeakMap<DataSource, Map<string, Promise<TriggerComparison>>>()

/**
 * Whether the table of an entity has all triggers of `fileTriggers()`, as they are to be, and the DataSource has the journal
 * that they write to. Warns when the table has others.
 */
export async function hasTriggers(runner: QueryRunner, metadata: EntityMetadata): Promise<boolean> {
  if (FileJournal.of(dataSourceOf(runner)) === undefined) return false
  const comparison = await compareTriggers(runner, metadata)
  if (comparison.state === 'outdated') warnOnce(metadata, comparison)
  return comparison.state === 'complete'
}

/**
 * Compares the triggers of an entity's table with those that are to be there. Asks the database once for each table. MySQL
 * shows triggers only to a user with the privilege TRIGGER: to others there are none.
 */
export function compareTriggers(runner: QueryRunner, metadata: EntityMetadata): Promise<TriggerComparison> {
  const known = comparisons.get(dataSourceOf(runner)) ?? new Map<string, Promise<TriggerComparison>>()
  comparisons.set(dataSourceOf(runner), known)
  let comparison = known.get(metadata.tablePath)
  if (comparison === undefined) {
    comparison = compare(runner, metadata)
    known.set(metadata.tablePath, comparison)
    comparison.catch(() => known.delete(metadata.tablePath))
  }
  return comparison
}

/** Forgets what was asked before: triggers have come or gone. */
export function forgetTriggers(dataSource: DataSource): void {
  comparisons.delete(dataSource)
}

async function compare(runner: QueryRunner, metadata: EntityMetadata): Promise<TriggerComparison> {
  const expected = new Map(
    defineTriggers(dataSourceOf(runner), metadata).triggers.map(({ name, hash }) => [name, hash]),
  )
  const installed = await installedTriggers(runner, metadata)
  const names = new Set(installed.map(({ name }) => name))
  const differences = Object.entries({
    missing: [...expected.keys()].filter((name) => !names.has(name)),
    'of another definition, or disabled': installed
      .filter(({ name, body }) => expected.has(name) && expected.get(name) !== hashIn(body))
      .map(({ name }) => name),
    'left over': [...names].filter((name) => !expected.has(name)),
  })
    .filter(([, some]) => some.length > 0)
    .map(([what, some]) => `${what}: ${some.join(', ')}`)
  if (installed.length === 0) return { state: 'none', differences }
  return { state: differences.length === 0 ? 'complete' : 'outdated', differences }
}

const warned = new WeakSet<TriggerComparison>()

function warnOnce({ tablePath, name }: EntityMetadata, comparison: TriggerComparison): void {
  if (warned.has(comparison)) return
  warned.add(comparison)
  process.emitWarning(
    `the triggers of table '${tablePath}' are not those of ${name} as it is now (${comparison.differences.join('; ')}), ` +
      'and are not relied on: bulk statements may leave objects behind. Make them anew in a migration: ' +
      `await createFileTriggers(queryRunner, ${name})`,
    { code: 'S3FILE_TRIGGERS' },
  )
}

const isLike = (start: string) => `LIKE '${start.replaceAll('_', '|_')}%' ESCAPE '|'`

/** A trigger that looks at another table says nothing of the one that it is on. */
const isOurs = (name: string) =>
  `${name} ${isLike(triggerPrefix)} AND ${name} NOT ${isLike(`${triggerPrefix}cascade_`)}`

/** Whether a database has triggers of this package at all. */
export async function hasAnyTriggers(runner: QueryRunner): Promise<boolean> {
  const names = {
    postgres: 'tgname FROM pg_trigger WHERE tgname',
    mysql: 'trigger_name FROM information_schema.triggers WHERE trigger_name',
    sqlite: "name FROM sqlite_master WHERE type = 'trigger' AND name",
  }[dialectOf(dataSourceOf(runner))]
  const rows: unknown[] = await runner.query(`SELECT ${names} ${isLike(triggerPrefix)} LIMIT 1`)
  return rows.length > 0
}

/** This package's triggers for a table, whatever they are called: on it, or on the parents that take its rows along. */
export async function installedTriggers(
  runner: QueryRunner,
  metadata: EntityMetadata,
): Promise<InstalledTrigger[]> {
  const dataSource = dataSourceOf(runner)
  switch (dialectOf(dataSource)) {
    case 'postgres':
      return runner.query(
        "SELECT t.tgname AS name, CASE WHEN t.tgenabled IN ('O', 'A') THEN p.prosrc ELSE '' END AS body " +
          'FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid ' +
          `WHERE t.tgrelid = to_regclass($1) AND ${isOurs('t.tgname')}`,
        [tableName(dataSource, metadata)],
      )
    case 'mysql': {
      const unknownId = '_'.repeat(8)
      const cascades = triggerName('cascade', metadata, unknownId)
      const pattern = `${cascades.slice(0, -unknownId.length).replaceAll('_', '|_')}${unknownId}`
      const hosts = [metadata, ...cascadingParents(dataSource, metadata)]
      const databases = [...new Set(hosts.map(({ database }) => database ?? null))]
      return runner.query(
        'SELECT trigger_name AS name, action_statement AS body, event_object_schema AS `database` ' +
          'FROM information_schema.triggers WHERE ' +
          '(event_object_schema = COALESCE(?, DATABASE()) AND event_object_table = ? ' +
          `AND ${isOurs('trigger_name')}) OR ` +
          `(event_object_schema IN (${databases.map(() => 'COALESCE(?, DATABASE())').join(', ')}) ` +
          "AND trigger_name LIKE ? ESCAPE '|')",
        [metadata.database ?? null, metadata.tableName, ...databases, pattern],
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
