import { type DataSource, EntityManager, type EntityMetadata, type QueryRunner } from 'typeorm'
import { fileColumnsOfTable } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { createFileTriggers, strayTriggers } from './file-triggers.js'
import { forgetTriggers, hasTriggers, installedTriggers } from './installed-triggers.js'
import { warnOfBulkWrite } from './warn-of-bulk-write.js'

/**
 * `synchronize` changes tables without their triggers: makes those anew that are there and are not as they are to be, and
 * drops those of tables that have no file columns any more.
 */
export async function renewTriggers(dataSource: DataSource): Promise<void> {
  if (FileJournal.of(dataSource) === undefined) return
  await onRunner(dataSource, async (runner) => {
    for (const metadata of tablesOf(dataSource)) {
      if ((await installedTriggers(runner, metadata)).length === 0) continue
      if (fileColumnsOfTable(dataSource, metadata).length > 0)
        await createFileTriggers(runner, metadata.target)
      else for (const statement of await strayTriggers(runner, metadata)) await runner.query(statement)
    }
  })
  forgetTriggers(dataSource)
}

/** Warns of tables with files whose rows a foreign key takes along, which TypeORM does not see. */
export async function warnOfUncoveredCascades(dataSource: DataSource): Promise<void> {
  const cascading = tablesOf(dataSource).filter((metadata) => parentsOf(metadata).length > 0)
  const isAffected = (metadata: EntityMetadata) =>
    fileColumnsOfTable(dataSource, metadata).some(({ field }) => field.onRemove === 'delete')
  const affected = cascading.filter(isAffected)
  if (affected.length === 0) return
  await onRunner(dataSource, async (runner) => {
    for (const metadata of affected) {
      // Migrations may still have to make it.
      if (!(await runner.hasTable(metadata.tablePath)) || (await isCovered(runner, metadata))) continue
      process.emitWarning(uncoveredCascade(metadata), { code: 'S3FILE_CASCADE' })
    }
  })
}

/** What a deletion of a parent's row does to the files of a table without triggers. */
export function uncoveredCascade(metadata: EntityMetadata): string {
  return (
    `deleting a row of ${parentsOf(metadata).join(' or ')} deletes rows of ${metadata.name} by ON DELETE CASCADE, and their ` +
    `objects stay behind. Add FileJournalEntry, and in a migration: await createFileTriggers(queryRunner, ${metadata.name})`
  )
}

/** The entities whose rows take rows of this table along. */
export function parentsOf({ foreignKeys }: EntityMetadata): string[] {
  const cascading = foreignKeys.filter(({ onDelete }) => onDelete === 'CASCADE')
  return [...new Set(cascading.map(({ referencedEntityMetadata }) => referencedEntityMetadata.name))]
}

/** `clear()` is TRUNCATE, or DELETE on SQLite, and tells nobody. */
export function adaptClear(): void {
  const prototype = EntityManager.prototype as EntityManager & { [isAdapted]?: true }
  if (prototype[isAdapted]) return
  prototype[isAdapted] = true
  const { clear } = EntityManager.prototype
  EntityManager.prototype.clear = async function (target, options) {
    await clear.call(this, target, options)
    const { dataSource, queryRunner } = this
    const metadata = dataSource.getMetadata(target)
    const columns = fileColumnsOfTable(dataSource, metadata)
    if (columns.some(({ field }) => field.onRemove === 'delete')) {
      await warnOfBulkWrite(queryRunner ?? dataSource, metadata, 'clear')
    }
  }
}

const isAdapted = Symbol.for('typeorm-s3-file.adapted')

async function isCovered(runner: QueryRunner, metadata: EntityMetadata): Promise<boolean> {
  return FileJournal.of(runner.dataSource) !== undefined && (await hasTriggers(runner, metadata))
}

function tablesOf(dataSource: DataSource): EntityMetadata[] {
  return dataSource.entityMetadatas.filter(
    ({ tableType }) => tableType !== 'view' && tableType !== 'entity-child',
  )
}

async function onRunner(dataSource: DataSource, work: (runner: QueryRunner) => Promise<void>): Promise<void> {
  const runner = dataSource.createQueryRunner('master')
  try {
    await work(runner)
  } finally {
    await runner.release()
  }
}
