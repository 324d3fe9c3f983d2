import type { EntityMetadata, ObjectLiteral, UpdateEvent } from 'typeorm'
import { refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { isUpload } from '../core/upload-ledger.js'
import { type FileColumn, fileColumnsOf, filesOf } from './file-columns.js'

/** The columns that a statement fills. */
export function insertedColumns(metadata: EntityMetadata): FileColumn[] {
  return fileColumnsOf(metadata).filter(({ column }) => column.isInsert)
}

/** The columns whose files go with their row. */
export function releasedColumns(metadata: EntityMetadata): FileColumn[] {
  return fileColumnsOf(metadata).filter(({ field }) => field.onRemove === 'delete')
}

export function isReleasedOnReplace({ field }: FileColumn): boolean {
  return field.onReplace === 'delete'
}

/** The columns that a statement changes, as far as is known. */
export function changedColumns(event: UpdateEvent<ObjectLiteral>): FileColumn[] {
  const { metadata, entity, databaseEntity, updatedColumns } = event
  return fileColumnsOf(metadata).filter(({ column, storageColumn, valueIn }) => {
    if (!entity || !column.isUpdate) return false
    // A statement of the query builder says nothing else. After a save(), TypeORM puts null where nothing was given.
    if (!databaseEntity) return valueIn(entity) !== undefined
    return updatedColumns.some((updated) => updated === column || updated === storageColumn)
  })
}

/** Uploads that no committed row refers to yet. */
export function uploadsOf(columns: FileColumn[], entity: object): S3File[] {
  const files = columns.flatMap((column) => filesOf(column, entity) ?? [])
  return files.filter(isUpload)
}

/** What has come to a list of files, and what has gone from it. */
export function diffFiles(before: S3File[], after: S3File[]): { added: S3File[]; removed: S3File[] } {
  const [old, now] = [before, after].map((files) => new Map(files.map((file) => [refId(file), file])))
  return {
    added: [...(now ?? [])].filter(([id]) => !old?.has(id)).map(([, file]) => file),
    removed: [...(old ?? [])].filter(([id]) => !now?.has(id)).map(([, file]) => file),
  }
}
