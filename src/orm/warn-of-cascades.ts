import type { DataSource, EntityMetadata } from 'typeorm'
import { cascadingParents } from './cascade-triggers.js'
import { fileColumnsOfTable } from './file-columns.js'
import { hasTriggers } from './installed-triggers.js'
import { onRunner } from './on-runner.js'
import { tablesOf } from './trigger-upkeep.js'

/**
 * Warns of tables with files whose rows ON DELETE CASCADE deletes: TypeORM does not see these rows. Asks the database only
 * where there is such a cascade.
 */
export async function warnOfUncoveredCascades(dataSource: DataSource): Promise<void> {
  const found = tablesOf(dataSource).flatMap((metadata) => {
    const message = uncoveredCascade(dataSource, metadata)
    return message === undefined ? [] : [{ metadata, message }]
  })
  if (found.length === 0) return
  await onRunner(dataSource, async (runner) => {
    for (const { metadata, message } of found) {
      // Migrations may still have to make the table.
      if (!(await runner.hasTable(metadata.tablePath)) || (await hasTriggers(runner, metadata))) continue
      process.emitWarning(message, { code: 'S3FILE_CASCADE' })
    }
  })
}

/** Says what a cascade does to the files of a table without triggers; undefined where there is none. */
export function uncoveredCascade(dataSource: DataSource, metadata: EntityMetadata): string | undefined {
  const columns = fileColumnsOfTable(dataSource, metadata)
  if (!columns.some(({ field }) => field.onRemove === 'delete')) return undefined
  const parents = cascadingParents(dataSource, metadata).map(({ name }) => name)
  if (parents.length === 0) return undefined
  return (
    `deleting a row of ${parents.join(' or ')} deletes rows of ${metadata.name} by ON DELETE CASCADE, and their objects stay ` +
    `behind. Add FileJournalEntry, and in a migration: await createFileTriggers(queryRunner, ${metadata.name})`
  )
}
