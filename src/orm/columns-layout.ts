import { Column, type ColumnOptions, getMetadataArgsStorage, type ValueTransformer } from 'typeorm'
import { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import { ConfigurationError, isS3FileError } from '../core/errors.js'
import type { FileField } from '../core/file-field.js'
import { type FileRecord, recordProperties } from '../core/file-record.js'
import { maxKeyBytes } from '../core/object-key.js'
import { isS3File, S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'
import { UnreadableS3File } from '../core/unreadable-s3-file.js'

/** The columns, by record property. The key comes last: by then the rest of the row's record is known. */
const columnOptions: Record<keyof FileRecord, ColumnOptions> = {
  name: { type: 'varchar', length: 255 },
  size: { type: 'bigint', transformer: bigintTransformer() },
  contentType: { type: 'varchar', length: 255 },
  etag: { type: 'varchar', length: 255 },
  checksum: { type: 'varchar', length: 255 },
  uploadedAt: { type: 'varchar', length: 24, transformer: dateTransformer() },
  storage: { type: 'varchar', length: 100 },
  key: { type: 'varchar', length: maxKeyBytes },
}

/** The classes made here, one for each field. */
const fieldOfClass = sharedState('columns', () => new WeakMap<object, FileField>())

/** What has been read of a row, by property, while its columns come one by one. */
const halfRead = new WeakMap<object, Map<string, Record<string, unknown>>>()

/**
 * `layout: 'columns'`: TypeORM sees an embedded with a column for each part of the record, so `where`, `order` and
 * `select` reach them as `{ file: { size: MoreThan(0) } }`; the entity holds an `S3File` or null all the same.
 */
export function defineColumns(
  owner: object,
  property: string,
  field: FileField,
  options: ColumnOptions,
): void {
  class FileColumns {}
  fieldOfClass.set(FileColumns, field)
  const { name, nullable, select, ...keyOptions } = options
  for (const [part, partOptions] of Object.entries(columnOptions)) {
    const isKey = part === 'key'
    const common = {
      ...partOptions,
      nullable: !isKey || nullable === true,
      ...(select === undefined ? {} : { select }),
    }
    Column(isKey ? { ...common, ...keyOptions } : common)(FileColumns.prototype, part)
  }
  getMetadataArgsStorage().embeddeds.push({
    target: owner as never,
    propertyName: property,
    isArray: false,
    ...(name === undefined ? {} : { prefix: name }),
    type: () => FileColumns,
  })
  adaptColumnMetadata()
}

/** The field whose columns these are; undefined for any other column. */
export function fieldOfColumn(column: ColumnMetadata): FileField | undefined {
  const type = column.embeddedMetadata?.type
  return type === undefined ? undefined : fieldOfClass.get(type as object)
}

/**
 * TypeORM ignores `null` in place of an embedded, loads an instance full of nulls for it, and writes into the
 * existing instance: none of which a file can bear. There is no hook for it, so the two methods through which
 * TypeORM reads and writes a column's value learn of these columns; for all others they do what they did.
 */
function adaptColumnMetadata(): void {
  sharedState('columnMetadata', () => {
    const { getEntityValue, setEntityValue } = ColumnMetadata.prototype
    ColumnMetadata.prototype.getEntityValue = function (entity, transform) {
      const field = this.embeddedMetadata === undefined ? undefined : fieldOfColumn(this)
      if (field === undefined || entity === undefined || entity === null) {
        return getEntityValue.call(this, entity, transform)
      }
      const value = readPart(holderOf(this, entity), this, field)
      return transform && this.transformer ? (this.transformer as ValueTransformer).to(value) : value
    }
    ColumnMetadata.prototype.setEntityValue = function (entity, value) {
      const field = this.embeddedMetadata === undefined ? undefined : fieldOfColumn(this)
      if (field === undefined) return setEntityValue.call(this, entity, value)
      writePart(holderOf(this, entity, true) as Record<string, unknown>, this, field, value)
    }
    return true
  })
}

/** The object that has the file property: the entity, or the embedded that the field is declared in. */
function holderOf(
  column: ColumnMetadata,
  entity: object,
  create = false,
): Record<string, unknown> | undefined {
  let holder: Record<string, unknown> | undefined = entity as Record<string, unknown>
  for (const embedded of (
    column.embeddedMetadata as NonNullable<typeof column.embeddedMetadata>
  ).embeddedMetadataTree.slice(0, -1)) {
    if (create) holder[embedded.propertyName] ??= embedded.create()
    holder = holder[embedded.propertyName] as Record<string, unknown> | undefined
    if (holder === undefined || holder === null) return undefined
  }
  return holder
}

function propertyOf(column: ColumnMetadata): string {
  return (column.embeddedMetadata as NonNullable<typeof column.embeddedMetadata>).propertyName
}

function readPart(
  holder: Record<string, unknown> | undefined,
  column: ColumnMetadata,
  field: FileField,
): unknown {
  const value = holder?.[propertyOf(column)]
  if (value === undefined || value === null) return value
  if (value instanceof UnreadableS3File) return (value.raw as Record<string, unknown>)[column.propertyName]
  const isOurs = isS3File(value) || isPlainPart(value, column.propertyName)
  if (!isOurs) {
    throw new ConfigurationError('invalid-value', `${field.label} takes an S3File or null`)
  }
  return (value as Record<string, unknown>)[column.propertyName]
}

/** TypeORM's own sets of values (for INSERT, UPDATE, `where`) are plain objects of the same shape. */
function isPlainPart(value: unknown, part: string): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    (part in value || recordProperties.some((name) => name in value))
  )
}

function writePart(
  holder: Record<string, unknown>,
  column: ColumnMetadata,
  field: FileField,
  value: unknown,
): void {
  const property = propertyOf(column)
  const records = halfRead.get(holder) ?? new Map<string, Record<string, unknown>>()
  const record = records.get(property) ?? {}
  record[column.propertyName] = value
  if (column.propertyName === 'key') {
    records.delete(property)
    holder[property] = fileOf(record, field)
  } else {
    halfRead.set(holder, records.set(property, record))
  }
}

function fileOf(record: Record<string, unknown>, field: FileField): S3File | null {
  if (record.key === null) return null
  try {
    return new S3File({
      ...(record as unknown as ConstructorParameters<typeof S3File>[0]),
      storage: (record.storage ?? field.rules.storage ?? 'default') as string,
    })
  } catch (error) {
    const reason = isS3FileError(error) ? error.message : String(error)
    return new UnreadableS3File({ ...record }, field.label, reason)
  }
}

/** Drivers give a bigint as text. */
function bigintTransformer(): ValueTransformer {
  return { to: (value) => value, from: (raw: string | number | null) => (raw === null ? null : Number(raw)) }
}

/** Kept as ISO 8601 in UTC: it sorts, and no driver moves it to another time zone. */
function dateTransformer(): ValueTransformer {
  return {
    to: (value: unknown) => (value instanceof Date ? value.toISOString() : value),
    from: (raw: string | null) => raw,
  }
}
