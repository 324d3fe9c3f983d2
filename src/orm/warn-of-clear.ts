import { EntityManager } from 'typeorm'
import { adaptsFirst } from './adapt-once.js'
import { fileColumnsOfTable } from './file-columns.js'
import { hasLifecycle } from './lifecycle-options.js'
import { dataSourceOf } from './typeorm-versions.js'
import { warnOfBulkWrite } from './warn-of-bulk-write.js'

/** `clear()` is TRUNCATE, or DELETE on SQLite, for which TypeORM has no event. Repositories call the manager's. */
export function adaptClear(): void {
  if (!adaptsFirst(EntityManager.prototype)) return
  const { clear } = EntityManager.prototype
  EntityManager.prototype.clear = async function (...given: Parameters<EntityManager['clear']>) {
    await clear.apply(this, given)
    const dataSource = dataSourceOf(this)
    if (!hasLifecycle(dataSource)) return
    const metadata = dataSource.getMetadata(given[0])
    const columns = fileColumnsOfTable(dataSource, metadata)
    if (columns.some(({ field }) => field.onRemove === 'delete')) {
      await warnOfBulkWrite(this.queryRunner ?? dataSource, metadata, 'clear')
    }
  }
}
