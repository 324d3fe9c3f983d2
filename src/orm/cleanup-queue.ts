import type { DataSource } from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { sharedState } from '../core/shared-state.js'
import { beforeDestroy } from './data-source-hooks.js'
import { FileJournal } from './file-journal.js'
import type { Claim } from './journal-claims.js'
import { lifecycleOf } from './lifecycle-options.js'
import { removeObjects } from './object-remover.js'
import { workOff } from './work-off.js'

/** Entries or objects that are worked on at once. */
const batchSize = 1000

const queues = sharedState('cleanup', () => new Map<DataSource, CleanupQueue>())

beforeDestroy('cleanup', (dataSource) => filesSettled(dataSource))

/**
 * Deletes in the background what transactions have left to delete: `save()` does not wait for S3, and no connection of
 * the database is held meanwhile. The journal's entries decide where there is one; what is queued here is only a hint.
 */
export class CleanupQueue {
  readonly #dataSource: DataSource
  #ids: string[] = []
  #released: ObjectRef[] = []
  #objects: ObjectRef[] = []
  readonly #deleting = new Set<string>()
  #running: Promise<void> | undefined

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource
  }

  static of(dataSource: DataSource): CleanupQueue {
    return queues.get(dataSource) ?? new CleanupQueue(dataSource)
  }

  /** Whether an object without an entry is being deleted, if no row refers to it. */
  static isDeleting(dataSource: DataSource, object: ObjectRef): boolean {
    return queues.get(dataSource)?.isDeleting(object) ?? false
  }

  isDeleting(object: ObjectRef): boolean {
    return this.#deleting.has(refId(object))
  }

  /** Entries of the journal. */
  addEntries(ids: string[]): void {
    this.#ids.push(...ids)
    this.#wake()
  }

  /** Objects that triggers have written entries for. */
  addReleased(objects: ObjectRef[]): void {
    this.#released.push(...objects)
    this.#wake()
  }

  /** Objects without an entry. */
  addObjects(objects: ObjectRef[]): void {
    for (const object of objects) this.#deleting.add(refId(object))
    this.#objects.push(...objects)
    this.#wake()
  }

  /** Resolves when nothing is left to do. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  #wake(): void {
    if (this.#isIdle()) return
    queues.set(this.#dataSource, this)
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined
      if (this.#isIdle()) queues.delete(this.#dataSource)
      else this.#wake()
    })
  }

  #isIdle(): boolean {
    return this.#ids.length + this.#released.length + this.#objects.length === 0
  }

  async #work(): Promise<void> {
    // What is committed in the same breath goes in the same batch, and the connection is back in its pool.
    await new Promise((resolve) => setImmediate(resolve))
    while (!this.#isIdle()) {
      // Taken from the queue first: what fails is not tried again and again.
      const ids = this.#ids.splice(0, batchSize)
      if (ids.length > 0) await this.#attempt(() => this.#workOff({ ids }))
      const released = this.#released.splice(0, batchSize)
      if (released.length > 0) await this.#attempt(() => this.#workOff({ released }))
      const objects = this.#objects.splice(0, batchSize)
      if (objects.length === 0) continue
      await this.#attempt(async () => this.#tell((await removeObjects(this.#dataSource, objects)).failed))
      for (const object of objects) this.#deleting.delete(refId(object))
    }
  }

  async #workOff(claim: Claim): Promise<void> {
    const journal = FileJournal.of(this.#dataSource)
    if (journal === undefined) return
    const { outcome } = await workOff(journal, claim, true)
    this.#tell(outcome.failed)
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      lifecycleOf(this.#dataSource).onCleanupError(error, undefined)
    }
  }

  #tell(failed: { item: ObjectRef; error: unknown }[]): void {
    const { onCleanupError } = lifecycleOf(this.#dataSource)
    for (const { item, error } of failed) onCleanupError(error, { storage: item.storage, key: item.key })
  }
}

/**
 * Resolves when all objects that committed or rolled back transactions have left to delete are deleted, or have failed
 * to be: for tests, before a process ends, and before the answer of a function that is frozen afterwards.
 * `dataSource.destroy()` waits for it too.
 *
 * @param dataSource the one to wait for. @default all
 */
export async function filesSettled(dataSource?: DataSource): Promise<void> {
  const waitedFor = [...queues].filter(([owner]) => dataSource === undefined || owner === dataSource)
  await Promise.all(waitedFor.map(([, queue]) => queue.settled()))
}
