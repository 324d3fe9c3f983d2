import type { ValueTransformer } from 'typeorm'
import { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import type { EmbeddedMetadata } from 'typeorm/metadata/EmbeddedMetadata.js'
import { isS3FileError } from '../core/errors.js'
import { type FileField, fieldOfTransformer } from '../core/file-field.js'
import { recordProperties, type S3FileInit } from '../core/file-record.js'
import { isS3File, isUnreadable, S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'
import { UnreadableS3File } from '../core/unreadable-s3-file.js'
import { adaptsFirst } from './adapt-once.js'
import { assertFits, notAFile } from './file-value.js'

/** The embedded classes behind `layout: 'columns'`, one for each field. */
const fieldOfClass = sharedState('columns', () => new WeakMap<object, FileField>())

type Holder = Record<string, unknown>

/** A column that holds a part of a file. */
interface PartColumn {
  field: FileField
  /** The embeddeds around the file property, from the entity down. */
  path: EmbeddedMetadata[]
  property: string
  part: string
  /** The most characters that it takes; undefined for one that is no text. */
  maxLength: number | undefined
}

/** Worked out once for each column: they are asked for with every value of every row. */
const partColumns = new WeakMap<ColumnMetadata, PartColumn>()

/** What has been read of a row, by property, while its columns come one by one. */
const halfRead = new WeakMap<Holder, Map<string, Record<string, unknown>>>()

/** The file whose key was read last. */
let lastRead: S3File | undefined

/** What was read last: most often the next column is of the same file. */
let reading: { holder: Holder; property: string; record: Record<string, unknown> } | undefined

export function markColumnsClass(columnsClass: object, field: FileField): void {
  fieldOfClass.set(columnsClass, field)
}

/** The field that has this column with `layout: 'columns'`; undefined for any other column. */
export function fieldOfColumn(column: ColumnMetadata): FileField | undefined {
  return column.embeddedMetadata === undefined
    ? undefined
    : fieldOfClass.get(column.embeddedMetadata.type as unknown as object)
}

function partColumnOf(column: ColumnMetadata): PartColumn | undefined {
  const { embeddedMetadata } = column
  if (embeddedMetadata === undefined) return undefined
  const known = partColumns.get(column)
  if (known !== undefined) return known
  const field = fieldOfColumn(column)
  if (field === undefined) return undefined
  const path = embeddedMetadata.embeddedMetadataTree.slice(0, -1)
  const found = {
    field,
    path,
    property: embeddedMetadata.propertyName,
    part: column.propertyName,
    maxLength: Number(column.length) || undefined,
  }
  partColumns.set(column, found)
  return found
}

/**
 * TypeORM ignores `null` in place of an embedded, loads an instance full of nulls for it, and writes into the
 * existing instance: none of which a file can bear. And it compares null with the transformed value of the database,
 * so a Django column's `''` would never be clean. There is no hook for either, so the methods through which TypeORM
 * reads and writes a column's value learn of these columns; for all others they do what they did.
 */
export function adaptColumnMetadata(): void {
  if (!adaptsFirst(ColumnMetadata.prototype)) return
  const { getEntityValue, setEntityValue, createValueMap } = ColumnMetadata.prototype
  ColumnMetadata.prototype.getEntityValue = function (entity, transform = false) {
    const column = partColumnOf(this)
    if (column === undefined || entity === undefined || entity === null) {
      const value: unknown = getEntityValue.call(this, entity, transform)
      if (typeof value !== 'string' || !isFileTransformer(this.transformer)) return value
      if (transform) return value === '' ? null : value
      throw notAFile(this.transformer[fieldOfTransformer], value)
    }
    const value = readPart(holderOf(column, entity), column, transform)
    return transform && this.transformer ? (this.transformer as ValueTransformer).to(value) : value
  }
  ColumnMetadata.prototype.setEntityValue = function (entity, value) {
    const column = partColumnOf(this)
    if (column === undefined) setEntityValue.call(this, entity, value)
    else writePart(holderOf(column, entity, true) as Holder, column, value)
  }
  ColumnMetadata.prototype.createValueMap = function (value, useDatabaseName) {
    const isPart = !useDatabaseName && fieldOfColumn(this) !== undefined
    return createValueMap.call(this, isPart ? new Part(value) : value, useDatabaseName)
  }
}

function isFileTransformer(transformer: unknown): transformer is { [fieldOfTransformer]: FileField } {
  return (transformer as { [fieldOfTransformer]?: FileField } | undefined)?.[fieldOfTransformer] !== undefined
}

/** A value on its way from TypeORM's comparison into a statement, in a plain object of TypeORM's own. */
class Part {
  readonly value: unknown
  constructor(value: unknown) {
    this.value = value
  }
}

/** The object that has the file property: the entity, or the embedded that the field is declared in. */
function holderOf({ path }: PartColumn, entity: object, create = false): Holder | undefined {
  let holder = entity as Holder
  for (const embedded of path) {
    if (create) holder[embedded.propertyName] ??= embedded.create()
    const next = holder[embedded.propertyName]
    if (next === undefined || next === null) return undefined
    holder = next as Holder
  }
  return holder
}

function readPart(
  holder: Holder | undefined,
  { field, property, part: name, maxLength }: PartColumn,
  isForComparison: boolean,
): unknown {
  const value = holder?.[property]
  if (value === undefined || value === null) return value
  if (typeof value !== 'object') throw notAFile(field, value)
  if (isUnreadable(value)) return (value.raw as Holder)[name]
  const part = (value as Holder)[name]
  if (part instanceof Part) return part.value
  // Criteria such as `delete({ file: { key } })` are plain objects; what is to be stored is not.
  if (isS3File(value)) {
    if (name === 'key') lastRead = value
    assertFits(field, name, part, maxLength)
    return part
  }
  if (isForComparison || (part === undefined && hasPart(value))) return part
  throw notAFile(field, value)
}

function hasPart(value: object): boolean {
  return Object.values(value).some((part) => part instanceof Part)
}

function writePart(holder: Holder, { field, property, part }: PartColumn, value: unknown): void {
  const record = recordOf(holder, property)
  record[part] = value
  if (part !== 'key') return
  reading = undefined
  halfRead.get(holder)?.delete(property)
  holder[property] = fileOf(record, field)
}

function recordOf(holder: Holder, property: string): Record<string, unknown> {
  if (reading?.holder === holder && reading.property === property) return reading.record
  if (reading !== undefined) {
    const records = halfRead.get(reading.holder) ?? new Map<string, Record<string, unknown>>()
    halfRead.set(reading.holder, records.set(reading.property, reading.record))
  }
  const record = halfRead.get(holder)?.get(property) ?? {}
  reading = { holder, property, record }
  return record
}

/**
 * `create()`, `merge()` and `preload()` read all parts of a file and write them into another entity: it gets the same
 * file, as it does in every other layout, and with it what is known of where the file came from.
 */
function isLastRead(record: Record<string, unknown>): boolean {
  const file = lastRead
  if (file === undefined || file.key !== record.key) return false
  return recordProperties.every((part) => file[part] === record[part])
}

function fileOf(record: Record<string, unknown>, field: FileField): S3File | null {
  if (record.key === null) return null
  if (isLastRead(record)) return lastRead as S3File
  try {
    const { storage = null } = record
    const init = storage === null ? { ...record, storage: field.rules.storage ?? 'default' } : record
    return new S3File(init as unknown as S3FileInit)
  } catch (error) {
    const reason = isS3FileError(error) ? error.message : String(error)
    return new UnreadableS3File({ ...record }, field.label, reason)
  }
}
