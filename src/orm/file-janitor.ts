import { setTimeout as sleep } from 'node:timers/promises'
import type { DataSource } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { guarded } from '../core/guarded.js'
import { checkOptions, maxTimerSeconds, type OptionCheck, option } from '../core/options.js'
import { FileJournal } from './file-journal.js'
import { lifecycleOf, maxKeepSeconds } from './lifecycle-options.js'
import { workOff } from './work-off.js'

/** How often and how much a `FileJanitor` works. */
export interface FileJanitorOptions {
  /** Entries that are claimed in one batch, 1 to 1,000. @default 1000 */
  batchSize?: number
  /**
   * Seconds between two runs of `start()`, give or take a quarter; 1 to 2,147,483, the longest time that a timer of Node
   * takes. @default 60
   */
  intervalSeconds?: number
  /**
   * How long released objects are kept, where that is longer than the subscriber's setting was when they were released; 0
   * to 315,360,000.
   * @default that of the DataSource's `S3FileSubscriber`
   */
  deleteAfterSeconds?: number
  /** Called after each batch with what the run has done so far. What it throws becomes a warning; the run goes on. */
  onProgress?: (report: JanitorReport) => void
  /**
   * Called when a run of `start()` fails as a whole, for instance because the database is away. What it throws becomes a
   * warning; the next run comes as usual. @default a warning
   */
  onError?: (error: unknown) => void
}

/** What a run has done with the entries of the journal. */
export interface JanitorReport {
  /** Entries whose object is deleted. */
  deleted: number
  /** Entries whose object a row refers to; it stays. */
  kept: number
  /** Entries that are to be tried again later; each has its last error. */
  failed: number
  /** Multipart uploads that were aborted. */
  abortedUploads: number
}

const checks: Record<keyof FileJanitorOptions, OptionCheck> = {
  batchSize: option.integer(1, 1000),
  intervalSeconds: option.integer(1, maxTimerSeconds),
  deleteAfterSeconds: option.integer(0, maxKeepSeconds),
  onProgress: option.function,
  onError: option.function,
}

export const janitorDefaults = { batchSize: 1000, intervalSeconds: 60 }

/**
 * Works off the file journal of a DataSource: deletes the objects that no row refers to any more, aborts stale multipart
 * uploads, tries again what failed. Any number of them may run at once, in any number of processes.
 */
export class FileJanitor {
  readonly #dataSource: DataSource
  readonly #options: FileJanitorOptions
  readonly #onProgress: (report: JanitorReport) => Promise<void>
  readonly #onError: (error: unknown) => Promise<void>
  #stop: AbortController | undefined
  #running: Promise<void> = Promise.resolve()

  /** @throws ConfigurationError `unknown-option`, `invalid-option`. */
  constructor(dataSource: DataSource, options: FileJanitorOptions = {}) {
    checkOptions('FileJanitor', options, checks)
    this.#dataSource = dataSource
    this.#options = options
    this.#onProgress = guarded(
      'onProgress of the file janitor',
      'S3FILE_JANITOR',
      options.onProgress ?? (() => {}),
    )
    this.#onError = guarded('onError of the file janitor', 'S3FILE_JANITOR', options.onError ?? warn)
  }

  /**
   * Works off all that is due.
   *
   * @throws ConfigurationError `invalid-option` without `FileJournalEntry`; JournalError `journal-failed` when the
   *   journal cannot be read. What S3 refuses is counted as failed, not thrown.
   */
  async runOnce(signal?: AbortSignal): Promise<JanitorReport> {
    const journal = FileJournal.of(this.#dataSource)
    if (journal === undefined) {
      throw new ConfigurationError(
        'invalid-option',
        'FileJanitor: the DataSource has no FileJournalEntry among its entities, or is not initialized yet',
      )
    }
    const { batchSize = janitorDefaults.batchSize } = this.#options
    const deleteAfterSeconds =
      this.#options.deleteAfterSeconds ?? lifecycleOf(this.#dataSource).deleteAfterSeconds
    const report: JanitorReport = { deleted: 0, kept: 0, failed: 0, abortedUploads: 0 }
    let taken = batchSize
    while (taken === batchSize && !signal?.aborted) {
      const { found, outcome } = await workOff(journal, { limit: batchSize, deleteAfterSeconds })
      taken = found
      report.deleted += outcome.deleted.length
      report.kept += outcome.kept.length
      report.failed += outcome.failed.length
      report.abortedUploads += outcome.abortedUploads
      if (taken > 0) void this.#onProgress({ ...report })
    }
    return report
  }

  /** Runs until `stop()`: at once, and then each `intervalSeconds`. Does not keep the process alive. */
  start(): void {
    if (this.#stop !== undefined) return
    this.#stop = new AbortController()
    this.#running = this.#loop(this.#stop.signal)
  }

  /** Resolves when the batch that is being worked on is done. */
  async stop(): Promise<void> {
    this.#stop?.abort()
    this.#stop = undefined
    await this.#running
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { intervalSeconds = janitorDefaults.intervalSeconds } = this.#options
    while (!signal.aborted) {
      try {
        await this.runOnce(signal)
      } catch (error) {
        void this.#onError(error)
      }
      // Janitors of many processes that were started at once do not go on in step.
      const pauseSeconds = Math.min(intervalSeconds * (0.75 + Math.random() / 2), maxTimerSeconds)
      await sleep(pauseSeconds * 1000, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }
}

function warn(error: unknown): void {
  process.emitWarning(`the file janitor failed: ${error}`, { code: 'S3FILE_JANITOR' })
}
