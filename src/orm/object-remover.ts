import type { DataSource } from 'typeorm'
import { channels, publish, publishCleanupFailure } from '../core/events.js'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { getStorage } from '../core/storage-registry.js'
import { batchesOf } from './batches.js'
import { findReferred } from './file-references.js'
import { onRunner } from './on-runner.js'

/** Requests to one store that are on their way at once. */
const maxConcurrentAborts = 8

/** An object that is to go, if no row refers to it. */
export interface Removal extends ObjectRef {
  /** The multipart upload that may still be open: its id, or null when it is not known whether there is one. */
  uploadId?: string | null | undefined
}

export interface RemovalOutcome<Item> {
  /** Their objects are gone now. */
  deleted: Item[]
  /** A row refers to their objects. */
  kept: Item[]
  failed: { item: Item; error: unknown }[]
  /** How many multipart uploads were aborted. */
  abortedUploads: number
}

/**
 * Deletes the objects that no committed row refers to, and aborts their multipart uploads first, so that none of
 * them can be completed after its object was deleted. What fails is told, not thrown.
 */
export async function removeObjects<Item extends Removal>(
  dataSource: DataSource,
  items: readonly Item[],
): Promise<RemovalOutcome<Item>> {
  const outcome: RemovalOutcome<Item> = { deleted: [], kept: [], failed: [], abortedUploads: 0 }
  let referred: Set<string>
  try {
    referred = await onRunner(dataSource, (runner) => findReferred(runner, items))
  } catch (error) {
    outcome.failed = items.map((item) => ({ item, error }))
    publishOutcome(outcome)
    return outcome
  }
  const byStorage = new Map<string, Item[]>()
  for (const item of items) {
    if (referred.has(refId(item))) outcome.kept.push(item)
    else byStorage.set(item.storage, [...(byStorage.get(item.storage) ?? []), item])
  }
  for (const [storage, unused] of byStorage) await removeFrom(storage, unused, outcome)
  publishOutcome(outcome)
  return outcome
}

function publishOutcome<Item extends Removal>({ deleted, failed }: RemovalOutcome<Item>): void {
  if (channels.delete.hasSubscribers) {
    // Two entries of the journal may name one object.
    for (const { storage, key } of new Map(deleted.map((item) => [refId(item), item])).values()) {
      publish('delete', () => ({ storage, key, reason: 'unreferred' }))
    }
  }
  for (const { item, error } of failed) publishCleanupFailure(item.storage, item.key, error)
}

async function removeFrom<Item extends Removal>(
  storageName: string,
  items: Item[],
  outcome: RemovalOutcome<Item>,
): Promise<void> {
  let ready = items
  try {
    const storage = getStorage(storageName)
    const stuck = new Map<Item, unknown>()
    const uploads = items.filter(({ uploadId }) => uploadId !== undefined)
    for (const some of batchesOf(uploads, maxConcurrentAborts)) {
      await Promise.all(
        some.map(async (item) => {
          try {
            const aborted = await abortUploads(storageName, item)
            outcome.abortedUploads += aborted
          } catch (error) {
            stuck.set(item, error)
          }
        }),
      )
    }
    for (const [item, error] of stuck) outcome.failed.push({ item, error })
    ready = items.filter((item) => !stuck.has(item))
    const failures = await storage.deleteMany(new Set(ready.map(({ key }) => key)))
    const errors = new Map(failures.map(({ key, error }) => [key, error]))
    for (const item of ready) {
      if (errors.has(item.key)) outcome.failed.push({ item, error: errors.get(item.key) })
      else outcome.deleted.push(item)
    }
  } catch (error) {
    outcome.failed.push(...ready.map((item) => ({ item, error })))
  }
}

/** Aborts the upload of that id, or whatever upload is open under the key. */
async function abortUploads(storageName: string, { key, uploadId }: Removal): Promise<number> {
  const storage = getStorage(storageName)
  if (storage.abortUpload === undefined) return 0
  if (typeof uploadId === 'string') {
    await storage.abortUpload(key, uploadId)
    return 1
  }
  let aborted = 0
  for await (const open of storage.listUploads?.({ prefix: key }) ?? []) {
    if (open.key !== key) continue
    await storage.abortUpload(key, open.uploadId)
    aborted++
  }
  return aborted
}
