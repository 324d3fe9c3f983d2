import type { DataSource } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'
import { fieldStorages } from './field-storages.js'
import { allFileColumns } from './file-columns.js'
import { dialectOf } from './file-sql.js'
import { readBacklog } from './journal-backlog.js'
import { assertKnownRows } from './known-rows.js'
import type { ReconcileFinding, ReconcileProgress, ReconcileSummary } from './reconcile-findings.js'
import { StorageReconciler } from './storage-reconciler.js'

/** What `reconcile()` leaves alone, and whether it deletes. */
export interface ReconcileOptions {
  /**
   * Leaves objects and multipart uploads alone that are younger than so many seconds: their rows may not be committed yet.
   * @default 86_400 (a day)
   */
  olderThanSeconds?: number
  /** Whether to delete orphans and to abort stale uploads, besides reporting them. @default false */
  deleteOrphans?: boolean
  /** Called now and then with what was looked at so far. */
  onProgress?: (progress: ReconcileProgress) => void
}

const checks: Record<keyof ReconcileOptions, OptionCheck> = {
  olderThanSeconds: option.integer(0),
  deleteOrphans: option.boolean,
  onProgress: option.function,
}

export const reconcileDefaults = { olderThanSeconds: 86_400, deleteOrphans: false }

/**
 * Compares the storages of all file fields with the rows, in constant memory, and gives what does not fit together, a
 * summary last. Only objects under the prefixes that fields write to are looked at. Each finding was verified: nothing
 * is reported, or deleted, that a second look at the database, the journal and the store does not confirm.
 *
 * All entities that have files in these storages must be in the DataSource: the objects of others look like orphans.
 * It holds one connection of the pool, on MySQL and MariaDB two.
 *
 * @throws ConfigurationError `unknown-layout` when a column holds what is no record of a file, names a storage that is
 *   not configured, or the database is of a kind that is not known here; nothing was deleted then. `unknown-storage`,
 *   `unknown-field` for a DataSource without file fields, `unknown-option`, `invalid-option`.
 * @throws StorageError what a store answered; `storage-failed` for one that does not list its keys in the order of their
 *   bytes. With `deleteOrphans` all listings are read once before anything is deleted to make sure of that.
 */
export async function* reconcile(
  dataSource: DataSource,
  options: ReconcileOptions = {},
): AsyncGenerator<ReconcileFinding | ReconcileSummary, void, undefined> {
  checkOptions('reconcile', options, checks)
  const {
    olderThanSeconds = reconcileDefaults.olderThanSeconds,
    deleteOrphans = reconcileDefaults.deleteOrphans,
    onProgress = () => undefined,
  } = options
  const dialect = dialectOf(dataSource)
  if (allFileColumns(dataSource).length === 0) {
    throw new ConfigurationError('unknown-field', 'reconcile: no entity of the DataSource has a file field')
  }
  const summary: ReconcileSummary = {
    type: 'summary',
    objects: 0,
    files: 0,
    orphans: 0,
    orphanBytes: 0,
    deleted: 0,
    dangling: 0,
    staleUploads: 0,
    aborted: 0,
    journal: null,
  }
  // Of the database that is written to: a replica may not have the last commit yet.
  const reader = dataSource.createQueryRunner('master')
  // A connection of MySQL that streams rows takes no other statement.
  const lookup = dialect === 'mysql' ? dataSource.createQueryRunner('master') : reader
  try {
    const places = fieldStorages(dataSource, await assertKnownRows(reader))
    const settings = {
      reader,
      lookup,
      before: Date.now() - olderThanSeconds * 1000,
      deleteOrphans,
      onProgress,
    }
    const reconcilers = places.map((place) => new StorageReconciler(place, settings, summary))
    if (deleteOrphans) for (const reconciler of reconcilers) await reconciler.assertInOrder()
    for (const reconciler of reconcilers) {
      yield* reconciler.compare()
      yield* reconciler.findStaleUploads()
    }
    summary.journal = await readBacklog(lookup.manager)
  } finally {
    await reader.release()
    if (lookup !== reader) await lookup.release()
  }
  yield summary
}
