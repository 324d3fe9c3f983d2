import type { DataSource } from 'typeorm'
import { guarded } from '../core/guarded.js'
import type { ObjectRef } from '../core/object-ref.js'
import { option } from '../core/options.js'

/** What `S3FileSubscriber.with()` takes. */
export interface LifecycleOptions {
  /**
   * Seconds for which a released object is kept, so that a restored backup of the database still finds its files; 0 to
   * 315,360,000. Needs `FileJournalEntry` and a `FileJanitor` when it is more than 0. @default 0
   */
  deleteAfterSeconds?: number
  /**
   * Seconds that an upload may wait for its `save()`, with `FileJournalEntry`; 60 to 315,360,000.
   * @default 86_400 (a day)
   */
  keepUnsavedSeconds?: number
  /**
   * What becomes of an upload whose transaction is rolled back: `keep` leaves it for another try of the transaction,
   * and to the journal once `keepUnsavedSeconds` are over. @default 'delete'
   */
  onRollback?: 'delete' | 'keep'
  /**
   * Told of each object that could not be deleted after a transaction, and, without an object, of what failed as a whole,
   * such as a look into the journal; with `FileJournalEntry` the janitor tries again. What it throws becomes a warning.
   * A janitor tells by its report and the entry's last error, an upload by `context.leftBehind` of what it throws, and all
   * of them by the event `typeorm-s3-file:cleanup:fail`.
   * @default a warning of the process
   */
  onCleanupError?: (error: unknown, object: ObjectRef | undefined) => void
}

/** Ten years: what is longer is a mistake in the unit, and beyond what a date can hold sooner or later. */
export const maxKeepSeconds = 315_360_000

export const lifecycleChecks = {
  deleteAfterSeconds: option.integer(0, maxKeepSeconds),
  keepUnsavedSeconds: option.integer(60, maxKeepSeconds),
  onRollback: option.oneOf('delete', 'keep'),
  onCleanupError: option.function,
}

export type Lifecycle = Required<LifecycleOptions>

export function resolveLifecycle(options: LifecycleOptions): Lifecycle {
  return {
    deleteAfterSeconds: options.deleteAfterSeconds ?? 0,
    keepUnsavedSeconds: options.keepUnsavedSeconds ?? 86_400,
    onRollback: options.onRollback ?? 'delete',
    onCleanupError: guarded('onCleanupError', 'S3FILE_CLEANUP', options.onCleanupError ?? warnOfCleanup),
  }
}

/** Where a subscriber keeps its settings: of another copy of the package, perhaps. */
export const lifecycleOfSubscriber = Symbol.for('typeorm-s3-file.lifecycle')

/** Whether the DataSource has an `S3FileSubscriber`, of this or of another copy of the package. */
export function hasLifecycle({ subscribers }: DataSource): boolean {
  return subscribers.some((subscriber) => lifecycleOfSubscriber in subscriber)
}

/** The settings of the DataSource's `S3FileSubscriber`, or the defaults where it has none. */
export function lifecycleOf(dataSource: DataSource): Lifecycle {
  for (const subscriber of dataSource.subscribers as { [lifecycleOfSubscriber]?: Lifecycle }[]) {
    const lifecycle = subscriber[lifecycleOfSubscriber]
    if (lifecycle !== undefined) return lifecycle
  }
  return resolveLifecycle({})
}

function warnOfCleanup(error: unknown, object: ObjectRef | undefined): void {
  const what = object === undefined ? 'files' : `object '${object.key}' of storage '${object.storage}'`
  process.emitWarning(`could not clean up ${what}: ${error}`, { code: 'S3FILE_CLEANUP' })
}
