import type { DataSource, EntityMetadata, EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { fileColumnsOfTable } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { dialectOf, nameBeside } from './file-sql.js'
import { forgetTriggers, installedTriggers } from './installed-triggers.js'
import { defineTriggers, dropInPostgres } from './trigger-definitions.js'
import { triggerName } from './trigger-names.js'

/**
 * SQL of the triggers that write an entry of the file journal, in the same transaction, for each object that a row of
 * the entity's table lets go: whichever way it was changed, by `save()`, `update()`, `delete()`, the query builder, a
 * foreign key with ON DELETE CASCADE, raw SQL or, on PostgreSQL, TRUNCATE. `up` makes the triggers, `down` drops them;
 * both are to be run one by one, as `createFileTriggers()` and `dropFileTriggers()` do.
 *
 * - A migration drops the triggers before it changes file columns or the journal's table, and makes them again
 *   afterwards. They are to be made again, too, when `onReplace`, `onRemove`, `storage` or a foreign key of the entity
 *   has changed. On SQLite, TypeORM makes a table anew to change it, and its triggers are gone.
 * - TRUNCATE on MySQL, and so `clear()`, fires no triggers, nor does REPLACE on SQLite without
 *   `PRAGMA recursive_triggers`. On PostgreSQL, an UPDATE has to name the file's column: what a trigger of your own
 *   changes besides is not seen.
 * - On PostgreSQL, whoever writes to the table must be allowed to insert into the journal's. On MySQL, the
 *   application's user needs the privilege TRIGGER to see that they are there.
 *
 * @throws ConfigurationError `invalid-option` for a DataSource without `FileJournalEntry`, or an entity without a file
 *   field; `unknown-layout` for a database of another kind.
 */
export function fileTriggers(
  dataSource: DataSource,
  entity: EntityTarget<ObjectLiteral>,
): { up: string[]; down: string[] } {
  return sqlOf(dataSource, entity)
}

function sqlOf(
  dataSource: DataSource,
  entity: EntityTarget<ObjectLiteral>,
  collation?: string,
): { up: string[]; down: string[] } {
  if (FileJournal.of(dataSource) === undefined) {
    throw new ConfigurationError(
      'invalid-option',
      'fileTriggers: the DataSource has no FileJournalEntry among its entities, or is not initialized yet',
    )
  }
  const metadata = dataSource.getMetadata(entity)
  if (fileColumnsOfTable(dataSource, metadata).length === 0) {
    throw new ConfigurationError(
      'invalid-option',
      `fileTriggers: ${metadata.name} has no file field in a table`,
    )
  }
  const { triggers, before, after } = defineTriggers(dataSource, metadata, collation)
  return {
    up: [...before, ...triggers.flatMap(({ up }) => up)],
    down: [...triggers.flatMap(({ down }) => down), ...after],
  }
}

/**
 * Makes the triggers of `fileTriggers()`, for a migration's `up()`; those that are there are made anew. A process that
 * runs meanwhile finds them when it is started again.
 *
 * @throws ConfigurationError as `fileTriggers()` does.
 */
export async function createFileTriggers(
  queryRunner: QueryRunner,
  entity: EntityTarget<ObjectLiteral>,
): Promise<void> {
  await dropFileTriggers(queryRunner, entity)
  const { dataSource } = queryRunner
  const collation = dialectOf(dataSource) === 'mysql' ? await journalCollation(queryRunner) : undefined
  for (const statement of sqlOf(dataSource, entity, collation).up) await queryRunner.query(statement)
  forgetTriggers(dataSource)
}

/**
 * Drops the triggers of `fileTriggers()`, and those of earlier definitions that are left on the table, for a migration's
 * `down()`. A process that runs meanwhile relies on them until it is started again.
 *
 * @throws ConfigurationError as `fileTriggers()` does.
 */
export async function dropFileTriggers(
  queryRunner: QueryRunner,
  entity: EntityTarget<ObjectLiteral>,
): Promise<void> {
  const { dataSource } = queryRunner
  const metadata = dataSource.getMetadata(entity)
  const { down } = sqlOf(dataSource, entity)
  const stray = dialectOf(dataSource) === 'mysql' ? await cascadesIn(queryRunner, metadata) : []
  for (const statement of await strayTriggers(queryRunner, metadata)) await queryRunner.query(statement)
  for (const statement of [...down, ...stray]) await queryRunner.query(statement)
  forgetTriggers(dataSource)
}

/** Drops what is on a table under whatever name: it may have been renamed since, or have lost its file columns. */
export async function strayTriggers(queryRunner: QueryRunner, metadata: EntityMetadata): Promise<string[]> {
  const { dataSource } = queryRunner
  const isThere = await queryRunner.hasTable(metadata.tablePath)
  const installed = isThere ? await installedTriggers(queryRunner, metadata) : []
  return installed.flatMap(({ name }) =>
    dialectOf(dataSource) === 'postgres'
      ? dropInPostgres(dataSource, metadata, name)
      : [`DROP TRIGGER IF EXISTS ${nameBeside(dataSource, metadata, name)}`],
  )
}

async function journalCollation(queryRunner: QueryRunner): Promise<string | undefined> {
  const { metadata } = FileJournal.of(queryRunner.dataSource) as FileJournal
  const rows: { collation: string | null }[] = await queryRunner.query(
    'SELECT collation_name AS collation FROM information_schema.columns ' +
      'WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND column_name = ?',
    [metadata.database ?? null, metadata.tableName, metadata.findColumnWithPropertyName('key')?.databaseName],
  )
  return rows[0]?.collation ?? undefined
}

/** Drops what was made for foreign keys that the entity has no more, too. */
async function cascadesIn(queryRunner: QueryRunner, metadata: EntityMetadata): Promise<string[]> {
  const names = triggerName('cascade', metadata, '_'.repeat(8))
  const rows: { name: string }[] = await queryRunner.query(
    'SELECT trigger_name AS name FROM information_schema.triggers ' +
      "WHERE trigger_schema = COALESCE(?, DATABASE()) AND trigger_name LIKE ? ESCAPE '|'",
    [metadata.database ?? null, `${names.slice(0, -8).replaceAll('_', '|_')}${names.slice(-8)}`],
  )
  return rows.map(
    ({ name }) => `DROP TRIGGER IF EXISTS ${nameBeside(queryRunner.dataSource, metadata, name)}`,
  )
}
