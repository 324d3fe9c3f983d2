import { DataSource } from 'typeorm'
import { registerLedger } from '../core/upload-ledger.js'
import { filesSettled } from './cleanup-queue.js'
import { allFileColumns } from './file-columns.js'
import { FileJournal } from './file-journal.js'

const isAdapted = Symbol.for('typeorm-s3-file.adapted')

/**
 * Uploads have no DataSource, so they find the journal of one that is initialized; and a DataSource that is destroyed
 * first finishes what its transactions have left to delete. TypeORM tells nobody of either.
 */
export function adaptDataSource(): void {
  const prototype = DataSource.prototype as DataSource & { [isAdapted]?: true }
  if (prototype[isAdapted]) return
  prototype[isAdapted] = true
  const { initialize, destroy } = DataSource.prototype
  const unregisters = new WeakMap<DataSource, () => void>()
  DataSource.prototype.initialize = async function () {
    const dataSource = await initialize.call(this)
    const journal = FileJournal.of(this)
    if (journal !== undefined) {
      const fields = new Set(allFileColumns(this).map(({ field }) => field))
      unregisters.set(this, registerLedger({ ledger: journal, knows: (field) => fields.has(field) }))
    }
    return dataSource
  }
  DataSource.prototype.destroy = async function () {
    unregisters.get(this)?.()
    await filesSettled(this)
    await destroy.call(this)
  }
}
