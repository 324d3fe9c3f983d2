import type { EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import { refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { getStorage } from '../core/storage-registry.js'
import { batchesOf } from './batches.js'
import { CleanupQueue } from './cleanup-queue.js'
import { allFileColumns, fileColumnsOfTable, filesIn } from './file-columns.js'
import { type AttachedEntry, FileJournal, fileGone } from './file-journal.js'
import { searchKeys } from './file-references.js'
import { sourceOf } from './loaded-files.js'
import { lockRows } from './lock-rows.js'
import { rowId } from './row-id.js'
import { dataSourceOf } from './typeorm-versions.js'

/** Objects that one statement looks for, and rows that it gives: millions may refer to one object. */
const maxKeysPerSearch = 500
const maxRowsPerSearch = 1000

/** Requests to the store that are on their way at once. */
const maxConcurrentLooks = 8

/** A row, by its primary key. */
interface Row {
  metadata: EntityMetadata
  id: ObjectLiteral
}

/**
 * Makes sure that the objects of files that rows are about to refer to, other than uploads of this process, are there
 * and stay until the transaction ends: locks a row that refers to the object, or else its entries in the journal, and looks
 * into the store. Rows come first: an object that loses its last row in between has an entry by then.
 *
 * @param isWritten that the statement has run: a search would find its own rows, so only rows that are known count.
 * @returns the entries, which are to be deleted with the statement.
 * @throws UploadError `file-gone` for an object that is deleted, or about to be.
 */
export async function holdObjects(
  runner: QueryRunner,
  files: readonly S3File[],
  isWritten = false,
): Promise<AttachedEntry[]> {
  let loose = [...new Map(files.map((file) => [refId(file), file])).values()]
  if (loose.length === 0) return []
  loose = await withoutHeld(runner, loose, async () => loose.flatMap((file) => rowOf(file)))
  if (!isWritten) loose = await withoutHeld(runner, loose, () => findRows(runner, loose))
  const entries = (await FileJournal.of(dataSourceOf(runner))?.lockEntries(runner.manager, loose)) ?? []
  // Also where there are entries: an object that two of them name is deleted with the first.
  await assertStored(runner, loose)
  return entries
}

/** Locks rows that are known to have referred to objects. @returns the files that none of them refers to now. */
async function withoutHeld(
  runner: QueryRunner,
  files: S3File[],
  find: () => Promise<Row[]>,
): Promise<S3File[]> {
  if (files.length === 0) return files
  const rows = await find()
  const held = new Set<string>()
  const once = [...new Map(rows.map((row) => [rowId(row.metadata, row.id), row])).values()]
  for (const metadata of new Set(once.map((row) => row.metadata))) {
    const ids = once.filter((row) => row.metadata === metadata).map(({ id }) => id)
    const columns = fileColumnsOfTable(dataSourceOf(runner), metadata)
    for (const row of (await lockRows(runner, metadata, columns, ids)).values()) {
      for (const value of row.values()) for (const file of filesIn(value)) held.add(refId(file))
    }
  }
  return files.filter((file) => !held.has(refId(file)))
}

/** The row that a file was read from, or saved in, while its entity still has a key. */
function rowOf(file: S3File): Row[] {
  const source = sourceOf(file)
  if (source === undefined || source.metadata.tableType === 'view') return []
  if (rowId(source.metadata, source.entity) === undefined) return []
  return [{ metadata: source.metadata, id: source.entity }]
}

/** A few rows that refer to the objects, as the transaction sees them. */
async function findRows(runner: QueryRunner, files: readonly S3File[]): Promise<Row[]> {
  const dataSource = dataSourceOf(runner)
  const rows: Row[] = []
  for (const some of batchesOf(files, maxKeysPerSearch)) {
    for (const column of allFileColumns(dataSource)) {
      const metadata = column.column.entityMetadata
      const { from, where } = searchKeys(runner, column, some)
      const names = metadata.primaryColumns.map(({ databaseName }) => dataSource.driver.escape(databaseName))
      const selected = names.map((name, index) => `f.${name} AS k${index}`).join(', ')
      const found: ObjectLiteral[] = await runner.query(
        `SELECT ${selected} FROM ${from} WHERE ${where} LIMIT ${maxRowsPerSearch}`,
        some.map(({ key }) => key),
      )
      for (const raw of found) rows.push({ metadata, id: keyOf(metadata, raw) })
    }
  }
  return rows
}

function keyOf(metadata: EntityMetadata, raw: ObjectLiteral): ObjectLiteral {
  const { driver } = dataSourceOf(metadata)
  const id: ObjectLiteral = {}
  for (const [index, column] of metadata.primaryColumns.entries()) {
    column.setEntityValue(id, driver.prepareHydratedValue(raw[`k${index}`], column))
  }
  return id
}

async function assertStored(runner: QueryRunner, files: S3File[]): Promise<void> {
  for (const some of batchesOf(files, maxConcurrentLooks)) {
    await Promise.all(
      some.map(async (file) => {
        const isLeaving = CleanupQueue.isDeleting(dataSourceOf(runner), file)
        if (isLeaving || (await getStorage(file.storage).stat(file.key)) === null) throw fileGone(file)
      }),
    )
  }
}
