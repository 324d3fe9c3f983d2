import type { DataSource, EntityMetadata } from 'typeorm'
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import { type FileField, fieldOfTransformer } from '../core/file-field.js'
import { isS3File, isUnreadable, type S3File } from '../core/s3-file.js'
import { fieldOfColumn } from './column-metadata.js'
import { assertFile, assertFiles } from './file-value.js'

/** A file property of an entity, as TypeORM's metadata has it. */
export interface FileColumn {
  field: FileField
  /** Such as `file`, or `attachment.file` in an embedded. */
  propertyPath: string
  /** The database's column with the record or the key. */
  column: ColumnMetadata
  /** The column with the storage's name, where it has one of its own. */
  storageColumn: ColumnMetadata | undefined
  /** All columns of the database that keep a part of the file. */
  parts: readonly ColumnMetadata[]
  /** The names from the entity down to the property. */
  path: readonly string[]
  /** What the property holds. */
  valueIn: (entity: object) => unknown
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

/** The columns that an INSERT fills. */
export function insertedColumns(metadata: EntityMetadata): FileColumn[] {
  return fileColumnsOf(metadata).filter(({ column }) => column.isInsert)
}

/** The file columns that have one of these columns of the database. */
export function columnsWith(
  metadata: EntityMetadata,
  changed: (column: ColumnMetadata) => boolean,
): FileColumn[] {
  return fileColumnsOf(metadata).filter(({ parts }) => parts.some(changed))
}

/** Each file column of a database once, also where several entities share a table. */
export function allFileColumns(dataSource: DataSource): FileColumn[] {
  const byName = new Map<string, FileColumn>()
  for (const metadata of dataSource.entityMetadatas) {
    if (metadata.tableType === 'view') continue
    for (const column of fileColumnsOf(metadata)) {
      byName.set(`${metadata.tablePath} ${column.column.databaseName}`, column)
    }
  }
  return [...byName.values()]
}

/** By what a DataSource has made of its entities, and by table. */
const columnsByTable = new WeakMap<EntityMetadata[], Map<string, FileColumn[]>>()

/** Those of a table: of all entities that share it, with a discriminator for instance. */
export function fileColumnsOfTable(dataSource: DataSource, { tablePath }: EntityMetadata): FileColumn[] {
  const tables = columnsByTable.get(dataSource.entityMetadatas) ?? new Map<string, FileColumn[]>()
  columnsByTable.set(dataSource.entityMetadatas, tables)
  let columns = tables.get(tablePath)
  if (columns === undefined) {
    columns = allFileColumns(dataSource).filter(({ column }) => column.entityMetadata.tablePath === tablePath)
    tables.set(tablePath, columns)
  }
  return columns
}

/**
 * The readable files that an entity, or another object with its properties, holds in that column. A property that was
 * not selected, or is not given, holds none that is known: undefined.
 */
export function filesOf(column: FileColumn, entity: object): S3File[] | undefined {
  const value = column.valueIn(entity)
  return value === undefined ? undefined : filesIn(value)
}

/** The readable files of what a property holds. */
export function filesIn(value: unknown): S3File[] {
  return [value].flat().filter((file): file is S3File => isS3File(file) && !isUnreadable(file))
}

/** Puts a value into the property; `undefined` takes the property away. Does nothing where the embedded is missing. */
export function setFile({ path }: FileColumn, entity: object, value: unknown): void {
  const holder = valueAt(entity, path.slice(0, -1)) as Record<string, unknown> | undefined | null
  const name = path.at(-1) as string
  if (holder === undefined || holder === null) return
  if (value === undefined) delete holder[name]
  // An accessor of the class stays.
  if (value !== undefined || holder[name] !== undefined) holder[name] = value
}

/**
 * Refuses what is no file before TypeORM makes NULL of it, or writes it as it is.
 *
 * @throws UploadError `not-a-file`; ConfigurationError `invalid-value`.
 */
export function assertFileValue({ field }: FileColumn, value: unknown): void {
  if (value === undefined || value === null) return
  if (field.isMultiple) assertFiles(field, value)
  else assertFile(field, value)
}

function fileColumnOf(column: ColumnMetadata): FileColumn | undefined {
  const inColumns = fieldOfColumn(column)
  if (inColumns !== undefined) {
    const { embeddedMetadata } = column
    if (column.propertyName !== 'key' || embeddedMetadata === undefined) return undefined
    const path = embeddedMetadata.parentPropertyNames
    return {
      field: inColumns,
      propertyPath: path.join('.'),
      column,
      storageColumn: embeddedMetadata.columns.find(({ propertyName }) => propertyName === 'storage'),
      parts: embeddedMetadata.columns,
      path,
      valueIn: (entity) => valueAt(entity, path),
    }
  }
  const field = (column.transformer as { [fieldOfTransformer]?: FileField } | undefined)?.[fieldOfTransformer]
  if (field === undefined) return undefined
  const path = column.propertyPath.split('.')
  return {
    field,
    propertyPath: column.propertyPath,
    column,
    storageColumn: undefined,
    parts: [column],
    path,
    valueIn: (entity) => valueAt(entity, path),
  }
}

function valueAt(entity: object, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (value as Record<string, unknown> | undefined | null)?.[name],
    entity,
  )
}
