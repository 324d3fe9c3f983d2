import type { EntityMetadata } from 'typeorm'
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import { type FileField, fieldOfTransformer } from '../core/file-field.js'
import { fieldOfColumn } from './column-metadata.js'

/** A file property of an entity, as TypeORM's metadata has it. */
export interface FileColumn {
  field: FileField
  /** Such as `file`, or `attachment.file` in an embedded. */
  propertyPath: string
  fileOf: (entity: object) => unknown
}

const columnsByMetadata = new WeakMap<EntityMetadata, FileColumn[]>()

/**
 * The file properties of an entity. Goes by the metadata, not by the class, so inherited and embedded ones and those
 * of an EntitySchema are among them.
 */
export function fileColumnsOf(metadata: EntityMetadata): FileColumn[] {
  let columns = columnsByMetadata.get(metadata)
  if (columns === undefined) {
    columns = metadata.columns.map(fileColumnOf).filter((column) => column !== undefined)
    columnsByMetadata.set(metadata, columns)
  }
  return columns
}

function fileColumnOf(column: ColumnMetadata): FileColumn | undefined {
  const inColumns = fieldOfColumn(column)
  if (inColumns !== undefined) {
    if (column.propertyName !== 'key') return undefined
    const { embeddedMetadata } = column
    const path = [...(embeddedMetadata?.parentPropertyNames ?? [])]
    return { field: inColumns, propertyPath: path.join('.'), fileOf: (entity) => valueAt(entity, path) }
  }
  const field = (column.transformer as { [fieldOfTransformer]?: FileField } | undefined)?.[fieldOfTransformer]
  if (field === undefined) return undefined
  return { field, propertyPath: column.propertyPath, fileOf: (entity) => column.getEntityValue(entity) }
}

function valueAt(entity: object, path: string[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (value as Record<string, unknown> | undefined | null)?.[name],
    entity,
  )
}
