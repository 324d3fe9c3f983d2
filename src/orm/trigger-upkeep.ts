import { DataSource, type EntityMetadata, type QueryRunner } from 'typeorm'
import { adaptsFirst } from './adapt-once.js'
import { assertSynchronizable } from './check-driver.js'
import { fileColumnsOfTable } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { createFileTriggers, dropFileTriggers } from './file-triggers.js'
import { hasAnyTriggers, installedTriggers } from './installed-triggers.js'
import { onRunner } from './on-runner.js'
import { dataSourceOf } from './typeorm-versions.js'

/**
 * `synchronize` changes tables and knows of no triggers: PostgreSQL refuses to drop a column that one of them reads, MySQL
 * drops it, and every statement on the table fails from then on, and SQLite drops the triggers with the table. So they are
 * dropped before, and made again for the entities as they are then.
 */
export function adaptSynchronize(): void {
  if (!adaptsFirst(DataSource.prototype, 'synchronize')) return
  const { synchronize } = DataSource.prototype
  DataSource.prototype.synchronize = async function (dropBeforeSync) {
    await assertSynchronizable(this)
    if (dropBeforeSync || FileJournal.of(this) === undefined) return synchronize.call(this, dropBeforeSync)
    const watched = await onRunner(this, (runner) => dropAll(runner))
    const renew = () => onRunner(this, (runner) => createAll(runner, watched))
    try {
      await synchronize.call(this)
    } catch (error) {
      await renew().catch(() => undefined) // The first error tells more.
      throw error
    }
    await renew()
  }
}

/** @returns the tables that had triggers. */
async function dropAll(runner: QueryRunner): Promise<EntityMetadata[]> {
  const watched: EntityMetadata[] = []
  if (!(await hasAnyTriggers(runner))) return watched
  for (const metadata of tablesOf(dataSourceOf(runner))) {
    if ((await installedTriggers(runner, metadata)).length === 0) continue
    watched.push(metadata)
    await dropFileTriggers(runner, metadata.target)
  }
  return watched
}

async function createAll(runner: QueryRunner, tables: readonly EntityMetadata[]): Promise<void> {
  for (const metadata of tables) {
    if (fileColumnsOfTable(dataSourceOf(runner), metadata).length > 0)
      await createFileTriggers(runner, metadata.target)
  }
}

/** The entities that have a table, one for each table. */
export function tablesOf(dataSource: DataSource): EntityMetadata[] {
  return dataSource.entityMetadatas.filter(
    ({ tableType }) => tableType !== 'view' && tableType !== 'entity-child',
  )
}
