import type { DataSource, EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { fileColumnsOfTable } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { dialectOf } from './file-sql.js'
import { forgetTriggers, installedTriggers } from './installed-triggers.js'
import { defineTriggers, dropShared, dropTrigger } from './trigger-definitions.js'
import { dataSourceOf } from './typeorm-versions.js'

/** Statements that make triggers and that drop them. */
interface TriggerSql {
  up: string[]
  down: string[]
}

/**
 * Returns the SQL of the triggers that keep the file journal, in the transaction of the statement that changes rows of the
 * entity's table: `save()`, `insert()`, `update()`, `upsert()`, `delete()`, the query builder, ON DELETE CASCADE, raw SQL
 * and, on PostgreSQL, TRUNCATE. Run the statements one by one, as `createFileTriggers()` and `dropFileTriggers()` do.
 *
 * - An object that a row releases gets an entry. An object that a row comes to refer to loses its entries: an upload is
 *   pending no more, a released object stays. When a janitor is deleting the object, the statement fails.
 * - Drop the triggers in a migration that drops or renames file columns or changes the journal's table, and make them
 *   again afterwards: on MySQL, every statement on the table fails otherwise. Make them again, too, when a file field is
 *   added, or `onReplace`, `onRemove`, `storage` or a foreign key of the entity changes. Until then they are not relied on.
 *   On SQLite, TypeORM changes a table by creating a new one, which has no triggers.
 * - TRUNCATE on MySQL fires no triggers. REPLACE on SQLite fires those for deleted rows only with
 *   `PRAGMA recursive_triggers`. On PostgreSQL, TRUNCATE fails in a transaction of REPEATABLE READ or SERIALIZABLE, which
 *   may not see all rows, and an UPDATE has to name the file's column: what a trigger of your own changes besides is not
 *   seen.
 * - On PostgreSQL, whoever writes to the table needs SELECT, INSERT and DELETE on the journal's. On MySQL, the
 *   application's user needs the privilege TRIGGER to see that the triggers are there.
 * - On MySQL, the SQL of `createFileTriggers()` and of the command line finds entries by the journal's index. That of this
 *   function reads the whole journal, because it cannot ask for the collation of the journal's keys.
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

/**
 * The SQL of `fileTriggers()` for the journal as the database has it.
 *
 * @throws ConfigurationError as `fileTriggers()` does.
 */
export async function fittedTriggers(
  queryRunner: QueryRunner,
  entity: EntityTarget<ObjectLiteral>,
): Promise<TriggerSql> {
  const dataSource = dataSourceOf(queryRunner)
  const collation = dialectOf(dataSource) === 'mysql' ? await journalCollation(queryRunner) : undefined
  return sqlOf(dataSource, entity, collation)
}

function sqlOf(dataSource: DataSource, entity: EntityTarget<ObjectLiteral>, collation?: string): TriggerSql {
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
  const { up } = await fittedTriggers(queryRunner, entity)
  await dropFileTriggers(queryRunner, entity)
  for (const statement of up) await queryRunner.query(statement)
  forgetTriggers(dataSourceOf(queryRunner))
}

/**
 * Drops the triggers of `fileTriggers()`, for a migration's `down()`: all that are on the entity's table, also those of
 * earlier definitions, of an earlier name of the table, and of an entity that has no file field any more. A process that
 * runs meanwhile relies on them until it is started again.
 */
export async function dropFileTriggers(
  queryRunner: QueryRunner,
  entity: EntityTarget<ObjectLiteral>,
): Promise<void> {
  const dataSource = dataSourceOf(queryRunner)
  const metadata = dataSource.getMetadata(entity)
  const installed = await installedTriggers(queryRunner, metadata)
  const isWatched =
    FileJournal.of(dataSource) !== undefined && fileColumnsOfTable(dataSource, metadata).length > 0
  for (const statement of [
    ...installed.flatMap(({ name, database }) => dropTrigger(dataSource, metadata, name, database)),
    // Under these names, on whatever table: this one may have been renamed since.
    ...(isWatched ? sqlOf(dataSource, entity).down : dropShared(dataSource, metadata)),
  ]) {
    await queryRunner.query(statement)
  }
  forgetTriggers(dataSource)
}

async function journalCollation(queryRunner: QueryRunner): Promise<string | undefined> {
  const { metadata } = FileJournal.of(dataSourceOf(queryRunner)) ?? {}
  if (metadata === undefined) return undefined
  const rows: { collation: string | null }[] = await queryRunner.query(
    'SELECT collation_name AS collation FROM information_schema.columns ' +
      'WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND column_name = ?',
    [metadata.database ?? null, metadata.tableName, metadata.findColumnWithPropertyName('key')?.databaseName],
  )
  return rows[0]?.collation ?? undefined
}
