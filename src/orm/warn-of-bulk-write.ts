import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import { dialectOf } from './file-sql.js'
import { hasTriggers } from './installed-triggers.js'
import { onRunner } from './on-runner.js'
import { dataSourceOf } from './typeorm-versions.js'

const warned = new WeakMap<DataSource, Set<string>>()

/**
 * Says once for each table that a statement, which TypeORM does not tell the rows of, may leave objects behind.
 *
 * @param on the runner of the statement, if it has one that goes on.
 */
export async function warnOfBulkWrite(
  on: QueryRunner | DataSource,
  metadata: EntityMetadata,
  statement: 'insert' | 'update' | 'delete' | 'clear',
): Promise<void> {
  const dataSource = 'createQueryRunner' in on ? on : dataSourceOf(on)
  const tables = warned.get(dataSource) ?? new Set<string>()
  warned.set(dataSource, tables)
  if (tables.has(metadata.tablePath)) return
  tables.add(metadata.tablePath)
  const isSeen = statement !== 'clear' || dialectOf(dataSource) !== 'mysql' // Its TRUNCATE fires no trigger.
  const look = (runner: QueryRunner) => hasTriggers(runner, metadata)
  if (isSeen && (await ('createQueryRunner' in on ? onRunner(on, look) : look(on)))) return
  process.emitWarning(
    `a statement (${statement}) changed files of ${metadata.name} without loading its rows: the objects they let go ` +
      `stay behind. With FileJournalEntry among the entities, make triggers in a migration: await ` +
      `createFileTriggers(queryRunner, ${metadata.name}); or use save() and remove(). ` +
      '`npx typeorm-s3-file reconcile` finds what is left.',
    { code: 'S3FILE_BULK_WRITE' },
  )
}
