import type { QueryRunner } from 'typeorm'
import { ConfigurationError, StorageError } from '../core/errors.js'
import { publishCleanupFailure, publishDeletions } from '../core/events.js'
import type { ListedObject, ListedUpload } from '../core/file-storage.js'
import { refId } from '../core/object-ref.js'
import type { FieldStorage } from './field-storages.js'
import { findReferences, findReferredKeys } from './file-references.js'
import { findJournaledKeys } from './journal-backlog.js'
import { inByteOrder, mergeKeys } from './merge-keys.js'
import type {
  DanglingFinding,
  OrphanFinding,
  ReconcileFinding,
  ReconcileProgress,
  ReconcileSummary,
  StaleUploadFinding,
} from './reconcile-findings.js'
import { rowKeys } from './row-keys.js'

/** What is verified, and deleted, at once. */
const batchSize = 1000

/** Requests to one store that are on their way at once. */
const maxConcurrentRequests = 8

export interface ReconcilerSettings {
  /** Reads the rows' keys. */
  reader: QueryRunner
  /** For statements in between. */
  lookup: QueryRunner
  /** What has changed since, in milliseconds since 1970, is left alone. */
  before: number
  deleteOrphans: boolean
  onProgress: (progress: ReconcileProgress) => void
}

/** Compares one storage with the rows that refer to it. */
export class StorageReconciler {
  readonly #place: FieldStorage
  readonly #settings: ReconcilerSettings
  readonly #summary: ReconcileSummary

  constructor(place: FieldStorage, settings: ReconcilerSettings, summary: ReconcileSummary) {
    this.#place = place
    this.#settings = settings
    this.#summary = summary
  }

  /** @throws StorageError `storage-failed` when the listing is in another order than that of the keys' bytes. */
  async assertInOrder(): Promise<void> {
    for await (const _ of this.#objects());
  }

  async *compare(): AsyncGenerator<ReconcileFinding> {
    const { reader, before } = this.#settings
    const objects: ListedObject[] = []
    const missing: string[] = []
    const rows = inByteOrder(rowKeys(reader, this.#place.names), (key) => key, rowsInDisorder)
    for await (const difference of mergeKeys(
      this.#count('objects', this.#objects()),
      this.#count('files', rows),
    )) {
      if ('rowKey' in difference) missing.push(difference.rowKey)
      else if (isBefore(difference.object.lastModified, before)) objects.push(difference.object)
      if (objects.length === batchSize) yield* this.#orphans(objects.splice(0))
      if (missing.length === batchSize) yield* this.#dangling(missing.splice(0))
    }
    yield* this.#orphans(objects)
    yield* this.#dangling(missing)
  }

  async *findStaleUploads(): AsyncGenerator<StaleUploadFinding> {
    const { storage, prefixes } = this.#place
    const uploads: ListedUpload[] = []
    for (const prefix of prefixes) {
      for await (const upload of storage.listUploads?.({ prefix }) ?? []) {
        if (isBefore(upload.startedAt, this.#settings.before)) uploads.push(upload)
        if (uploads.length === batchSize) yield* this.#staleUploads(uploads.splice(0))
      }
    }
    yield* this.#staleUploads(uploads)
  }

  async *#objects(): AsyncGenerator<ListedObject> {
    const { storage, names, prefixes } = this.#place
    const listed = async function* () {
      for (const prefix of prefixes) yield* storage.list({ prefix })
    }
    yield* inByteOrder(
      listed(),
      ({ key }) => key,
      (key, previous) => objectsInDisorder(names[0], key, previous),
    )
  }

  async *#count<Item>(counter: 'objects' | 'files', items: AsyncIterable<Item>): AsyncGenerator<Item> {
    const summary = this.#summary
    for await (const item of items) {
      if (++summary[counter] % 1000 === 0) {
        const { objects, files } = summary
        this.#settings.onProgress({ storage: this.#place.names[0], objects, files })
      }
      yield item
    }
  }

  async *#orphans(objects: ListedObject[]): AsyncGenerator<OrphanFinding> {
    const unused = await this.#unusedKeys(objects.map(({ key }) => key))
    const failures = await this.#delete(unused)
    for (const { key, size, lastModified } of objects) {
      if (!unused.has(key)) continue
      const isDeleted = this.#settings.deleteOrphans && !failures.has(key)
      this.#summary.orphans++
      this.#summary.orphanBytes += size
      if (isDeleted) this.#summary.deleted++
      yield {
        type: 'orphan',
        storage: this.#place.names[0],
        key,
        size,
        lastModified,
        isDeleted,
        ...(failures.has(key) ? { error: failures.get(key) } : {}),
      }
    }
  }

  /**
   * Keys that nobody has, whatever storage is named with them: two storages may share a bucket. The journal is asked
   * before the rows, as a save takes its entry away, and after them, as a release writes one.
   */
  async #unusedKeys(keys: string[]): Promise<Set<string>> {
    const { lookup } = this.#settings
    const unused = new Set(keys)
    if (keys.length === 0) return unused
    const before = await findJournaledKeys(lookup.manager, keys)
    const referred = await findReferredKeys(lookup, keys)
    const after = await findJournaledKeys(lookup.manager, keys)
    for (const key of [...before, ...referred.map(({ key }) => key), ...after]) unused.delete(key)
    return unused
  }

  /** @returns why those could not be deleted that are still there. */
  async #delete(keys: Set<string>): Promise<Map<string, unknown>> {
    if (!this.#settings.deleteOrphans || keys.size === 0) return new Map()
    const failures = await this.#place.storage.deleteMany(keys)
    publishDeletions({ storage: this.#place.names[0], reason: 'orphan' }, keys, failures)
    return new Map(failures.map(({ key, error }) => [key, error]))
  }

  async *#dangling(keys: string[]): AsyncGenerator<DanglingFinding> {
    const { storage, names } = this.#place
    const gone = new Set(keys)
    await concurrently(keys, async (key) => {
      if ((await storage.stat(key)) !== null) gone.delete(key)
    })
    if (gone.size === 0) return
    const { lookup } = this.#settings
    const findings = new Map<string, DanglingFinding>()
    for (const reference of await findReferences(lookup, gone)) {
      if (!names.includes(reference.storage)) continue
      const { key, column } = reference
      const finding = findings.get(refId(reference)) ?? {
        type: 'dangling',
        storage: reference.storage,
        key,
        rows: [],
      }
      const entity = column.column.entityMetadata.name
      finding.rows.push({ entity, property: column.propertyPath, id: reference.id })
      findings.set(refId(reference), finding)
    }
    this.#summary.dangling += findings.size
    yield* findings.values()
  }

  async *#staleUploads(uploads: ListedUpload[]): AsyncGenerator<StaleUploadFinding> {
    if (uploads.length === 0) return
    const { lookup, deleteOrphans } = this.#settings
    const { storage, names } = this.#place
    const keys = uploads.map(({ key }) => key)
    const journaled = await findJournaledKeys(lookup.manager, keys, 'upload')
    const stale = uploads.filter(({ key }) => !journaled.has(key))
    const failures = new Map<ListedUpload, unknown>()
    const aborts = deleteOrphans && storage.abortUpload !== undefined
    if (aborts) {
      await concurrently(stale, async (upload) => {
        await storage.abortUpload?.(upload.key, upload.uploadId).catch((error) => {
          failures.set(upload, error)
          publishCleanupFailure(names[0], upload.key, error)
        })
      })
    }
    for (const upload of stale) {
      const isAborted = aborts && !failures.has(upload)
      this.#summary.staleUploads++
      if (isAborted) this.#summary.aborted++
      yield {
        type: 'stale-upload',
        storage: names[0],
        ...upload,
        isAborted,
        ...(failures.has(upload) ? { error: failures.get(upload) } : {}),
      }
    }
  }
}

/** What has no time could be of this moment. */
function isBefore(time: Date | null, milliseconds: number): boolean {
  return time !== null && time.getTime() <= milliseconds
}

async function concurrently<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < items.length; start += maxConcurrentRequests) {
    await Promise.all(items.slice(start, start + maxConcurrentRequests).map(work))
  }
}

function objectsInDisorder(storage: string, key: string, previous: string): StorageError {
  return new StorageError(
    'storage-failed',
    `storage '${storage}' does not list its objects in the order of their keys' bytes: '${key}' comes behind ` +
      `'${previous}'; without that they cannot be compared with the rows`,
    { context: { storage, key, previous } },
  )
}

function rowsInDisorder(key: string, previous: string): ConfigurationError {
  return new ConfigurationError(
    'unknown-layout',
    `the database does not sort keys by their bytes in UTF-8: '${key}' comes behind '${previous}'`,
    { context: { key, previous } },
  )
}
