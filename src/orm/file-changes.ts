import type { DataSource, EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { getStorage } from '../core/storage-registry.js'
import { isUpload } from '../core/upload-ledger.js'
import { batchesOf } from './batches.js'
import { CleanupQueue } from './cleanup-queue.js'
import { FileJournal, fileGone } from './file-journal.js'
import { hasSource, holdSources, rememberSource } from './file-sources.js'
import { hasTriggers } from './installed-triggers.js'
import { TransactionFiles } from './transaction-files.js'

/** Requests to the store that are on their way at once. */
const maxConcurrentLooks = 8

/** What a statement has done to the files of a row. */
export interface FileChange {
  metadata: EntityMetadata
  /** Something with the row's primary key. */
  entity: ObjectLiteral
  attached: S3File[]
  released: S3File[]
  /** Whether the row was there before. */
  isUpdate: boolean
}

const pending = new WeakMap<QueryRunner, { changes: FileChange[]; written: Promise<void> }>()

/**
 * Writes down, within the transaction, what statements have done to files. Those of one `save()` or `remove()` are told
 * in one breath, and written at once.
 *
 * @throws UploadError `file-gone`.
 */
export function recordChange(runner: QueryRunner, change: FileChange): Promise<void> {
  let batch = pending.get(runner)
  if (batch === undefined) {
    const changes: FileChange[] = []
    const written = Promise.resolve().then(() => {
      pending.delete(runner)
      return write(runner, changes)
    })
    batch = { changes, written }
    pending.set(runner, batch)
  }
  batch.changes.push(change)
  return batch.written
}

async function write(runner: QueryRunner, changes: FileChange[]): Promise<void> {
  const { dataSource } = runner
  const journal = FileJournal.of(dataSource)
  const attached = new Map(changes.flatMap((change) => change.attached).map((file) => [refId(file), file]))
  const noted = new Map<string, ObjectRef>()
  const others = new Map<string, ObjectRef>()
  for (const { metadata, released } of changes) {
    if (released.length === 0) continue
    const isNoted = journal !== undefined && !(await hasTriggers(runner, metadata))
    for (const { storage, key } of released) {
      const id = refId({ storage, key })
      // A file that went from one row to another was not let go.
      if (!attached.has(id)) (isNoted ? noted : others).set(id, { storage, key })
    }
  }
  const moved = new Set(changes.flatMap(({ released }) => released.map(refId)))
  const copies = changes.flatMap(({ metadata, entity, attached, isUpdate }) =>
    attached
      .filter((file) => !moved.has(refId(file)))
      .map((file) => ({ file, metadata, entity, isDoubtful: isUpdate || hasSource(file) })),
  )
  // A record that was made by hand for a new row is taken at its word.
  const copied = copies.filter(({ file, isDoubtful }) => !isUpload(file) && isDoubtful)
  const loose = await holdSources(runner, copied)
  const ids = (await journal?.record(runner.manager, [...attached.values()], [...noted.values()])) ?? []
  // Uploads that another transaction has saved while this one waited for their entries.
  const shared = copies.filter(({ file }) => isUpload(file) && hasSource(file))
  await assertStored(dataSource, [...loose, ...(await holdSources(runner, shared))])
  const files = TransactionFiles.of(runner)
  files.release([...noted.values()].map((object, index) => ({ ...object, entryId: ids[index] })))
  files.release([...others.values()].map((object) => ({ ...object, entryId: undefined })))
  files.attach([...attached.values()].filter(isUpload))
  for (const { metadata, entity, attached } of changes) rememberSource({ metadata, entity }, attached)
}

/**
 * A file that comes back into a row, out of an entity that was loaded a while ago, may have no object any more.
 *
 * @throws UploadError `file-gone`.
 */
async function assertStored(dataSource: DataSource, files: S3File[]): Promise<void> {
  for (const some of batchesOf(files, maxConcurrentLooks)) {
    await Promise.all(
      some.map(async (file) => {
        const isLeaving = CleanupQueue.isDeleting(dataSource, file)
        if (isLeaving || (await getStorage(file.storage).stat(file.key)) === null) throw fileGone(file)
      }),
    )
  }
}
