import type { DataSource, EntityMetadata, EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { cascadeTriggers } from './cascade-triggers.js'
import { fileColumnsOfTable } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { dialectOf, isJsonText, nameBeside, nameInTrigger, tableName } from './file-sql.js'
import { forgetTriggers, type TriggerKind, triggerName } from './installed-triggers.js'
import { tableTriggers } from './table-triggers.js'

interface Statements {
  up: string[]
  down: string[]
}

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
  const write = { postgres: inPostgres, mysql: inMysql, sqlite: inSqlite }[dialectOf(dataSource)]
  return write(dataSource, metadata)
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
  for (const statement of fileTriggers(queryRunner.dataSource, entity).up) await queryRunner.query(statement)
  forgetTriggers(queryRunner.dataSource)
}

/**
 * Drops the triggers of `fileTriggers()`, for a migration's `down()`. A process that runs meanwhile relies on them
 * until it is started again.
 *
 * @throws ConfigurationError as `fileTriggers()` does.
 */
export async function dropFileTriggers(
  queryRunner: QueryRunner,
  entity: EntityTarget<ObjectLiteral>,
): Promise<void> {
  const { dataSource } = queryRunner
  const { down } = fileTriggers(dataSource, entity)
  const stray =
    dialectOf(dataSource) === 'mysql' ? await cascadesIn(queryRunner, dataSource.getMetadata(entity)) : []
  for (const statement of [...down, ...stray]) await queryRunner.query(statement)
  forgetTriggers(dataSource)
}

function inPostgres(dataSource: DataSource, metadata: EntityMetadata): Statements {
  const table = tableName(dataSource, metadata)
  const trigger = (kind: TriggerKind) => dataSource.driver.escape(triggerName(kind, metadata))
  const procedure = (kind: TriggerKind) => nameBeside(dataSource, metadata, triggerName(kind, metadata))
  const up: string[] = []
  if (fileColumnsOfTable(dataSource, metadata).some(isJsonText)) {
    // A text that is no JSON must not make the statement fail.
    up.push(
      `CREATE OR REPLACE FUNCTION ${procedure('json')}(value text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS ` +
        '$s3file$ BEGIN RETURN value::jsonb; EXCEPTION WHEN data_exception THEN RETURN NULL; END $s3file$',
    )
  }
  const parse = (text: string) => `${procedure('json')}(${text})`
  for (const { kind, event, condition, statements } of tableTriggers(dataSource, metadata, parse)) {
    const each = condition === undefined ? 'STATEMENT' : `ROW WHEN (${condition})`
    up.push(
      // Names without a schema mean what they mean now, whoever's statement it is later.
      `CREATE OR REPLACE FUNCTION ${procedure(kind)}() RETURNS trigger LANGUAGE plpgsql ` +
        `SET search_path FROM CURRENT AS $s3file$ BEGIN ${statements.join('; ')}; RETURN NULL; END $s3file$`,
      `CREATE TRIGGER ${trigger(kind)} ${event} ON ${table} FOR EACH ${each} EXECUTE FUNCTION ${procedure(kind)}()`,
    )
  }
  const down = (['update', 'delete', 'truncate'] as const).flatMap((kind) => [
    `DROP TRIGGER IF EXISTS ${trigger(kind)} ON ${table}`,
    `DROP FUNCTION IF EXISTS ${procedure(kind)}()`,
  ])
  return { up, down: [...down, `DROP FUNCTION IF EXISTS ${procedure('json')}(text)`] }
}

function inMysql(dataSource: DataSource, metadata: EntityMetadata): Statements {
  const table = tableName(dataSource, metadata)
  const name = (kind: TriggerKind) => nameBeside(dataSource, metadata, triggerName(kind, metadata))
  const own = tableTriggers(dataSource, metadata).map(
    ({ kind, event, condition, statements }) =>
      `CREATE TRIGGER ${name(kind)} ${event} ON ${table} FOR EACH ROW IF ${condition} THEN ${statements.join('; ')}; END IF`,
  )
  const cascades = cascadeTriggers(dataSource, metadata).map(({ host, id, statements }) => ({
    name: nameBeside(dataSource, host, triggerName('cascade', metadata, id)),
    definition: `BEFORE DELETE ON ${tableName(dataSource, host)} FOR EACH ROW BEGIN ${statements.join('; ')}; END`,
  }))
  return {
    up: [...own, ...cascades.map((cascade) => `CREATE TRIGGER ${cascade.name} ${cascade.definition}`)],
    down: [name('update'), name('delete'), ...cascades.map((cascade) => cascade.name)].map(
      (trigger) => `DROP TRIGGER IF EXISTS ${trigger}`,
    ),
  }
}

function inSqlite(dataSource: DataSource, metadata: EntityMetadata): Statements {
  const table = nameInTrigger(dataSource, metadata, metadata)
  const name = (kind: TriggerKind) => nameBeside(dataSource, metadata, triggerName(kind, metadata))
  return {
    up: tableTriggers(dataSource, metadata).map(
      ({ kind, event, condition, statements }) =>
        `CREATE TRIGGER ${name(kind)} ${event} ON ${table} FOR EACH ROW WHEN ${condition} BEGIN ${statements.join('; ')}; END`,
    ),
    down: [name('update'), name('delete')].map((trigger) => `DROP TRIGGER IF EXISTS ${trigger}`),
  }
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
