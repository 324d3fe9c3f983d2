import { EntityManager } from 'typeorm'
import { fileColumnsOfTable } from './file-columns.js'
import { hasLifecycle } from './lifecycle-options.js'
import { warnOfBulkWrite } from './warn-of-bulk-write.js'

const isAdapted = Symbol.for('typeorm-s3-file.adapted')

/** `clear()` is TRUNCATE, or DELETE on SQLite, for which TypeORM has no event. Repositories call the manager's. */
export function adaptClear(): void {
  const prototype = EntityManager.prototype as EntityManager & { [isAdapted]?: true }
  if (prototype[isAdapted]) return
  prototype[isAdapted] = true
  const { clear } = EntityManager.prototype
  EntityManager.prototype.clear = async function (target, options) {
    await clear.call(this, target, options)
    const { dataSource, queryRunner } = this
    if (!hasLifecycle(dataSource)) return
    const metadata = dataSource.getMetadata(target)
    const columns = fileColumnsOfTable(dataSource, metadata)
    if (columns.some(({ field }) => field.onRemove === 'delete')) {
      await warnOfBulkWrite(queryRunner ?? dataSource, metadata, 'clear')
    }
  }
}
