import type { DataSource, EntityMetadata, QueryRunner } from 'typeorm'
import { FileJournal } from './file-journal.js'
import { hasTriggers } from './installed-triggers.js'

const warned = new WeakMap<DataSource, Set<string>>()

/** Says once for each table that a statement, which TypeORM does not tell the rows of, may leave objects behind. */
export async function warnOfBulkWrite(
  runner: QueryRunner,
  metadata: EntityMetadata,
  statement: 'insert' | 'update' | 'delete',
): Promise<void> {
  const { dataSource } = runner
  const tables = warned.get(dataSource) ?? new Set<string>()
  warned.set(dataSource, tables)
  if (tables.has(metadata.tablePath)) return
  tables.add(metadata.tablePath)
  if (FileJournal.of(dataSource) !== undefined && (await hasTriggers(runner, metadata))) return
  process.emitWarning(
    `a statement (${statement}) changed files of ${metadata.name} without loading its rows: the objects they let go ` +
      `stay behind. Add the triggers of fileTriggers(${metadata.name}) in a migration, or use save() and remove(); ` +
      '`npx typeorm-s3-file reconcile` finds what is left.',
    { code: 'S3FILE_BULK_WRITE' },
  )
}
