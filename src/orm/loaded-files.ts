import type { EntityMetadata, ObjectLiteral } from 'typeorm'
import { recordProperties } from '../core/file-record.js'
import { refId } from '../core/object-ref.js'
import { isUnreadable, type S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'
import { type FileColumn, fileColumnsOf, filesIn, filesOf } from './file-columns.js'
import { rowId } from './row-id.js'
import { isSameDatabase } from './same-database.js'
import { dataSourceOf } from './typeorm-versions.js'

/** What the file properties of an entity held when they were the same as the row's: as loaded, or as last saved. */
interface LoadedRow {
  metadata: EntityMetadata
  entity: ObjectLiteral
  /** The primary key that it had then. */
  key: unknown[]
  /** By property path; a property that was not loaded is not among them. */
  values: Map<string, unknown>
  /** Objects that it has been saved with besides, by `refId`. */
  seen?: Set<string>
}

const loaded = sharedState('loaded', () => ({
  byEntity: new WeakMap<object, LoadedRow>(),
  byFile: new WeakMap<S3File, LoadedRow>(),
}))

/** The entity has the values of its row: it was loaded, or inserted. */
export function noteLoaded(metadata: EntityMetadata, entity: ObjectLiteral): void {
  const columns = fileColumnsOf(metadata)
  if (columns.length === 0) return
  const values = new Map<string, unknown>()
  for (const column of columns) {
    const value = column.valueIn(entity)
    if (value !== undefined) values.set(column.propertyPath, copyOf(value))
  }
  remember({ metadata, entity, key: keyOf(metadata, entity), values })
}

/** These values have been written to the entity's row. */
export function noteSaved(
  metadata: EntityMetadata,
  entity: ObjectLiteral,
  written: ReadonlyMap<FileColumn, unknown>,
): void {
  const values = new Map(loadedRowOf(metadata, entity)?.values)
  for (const [column, value] of written) values.set(column.propertyPath, copyOf(value))
  remember({ metadata, entity, key: keyOf(metadata, entity), values })
}

/** The entity was given files that its row had already: it knows of them. */
export function noteSeen(metadata: EntityMetadata, entity: ObjectLiteral, files: readonly S3File[]): void {
  const row = loadedRowOf(metadata, entity)
  if (row === undefined) return
  row.seen ??= new Set()
  for (const file of files) row.seen.add(refId(file))
}

/** Whether an entity that was loaded knows of an object. */
export function hasSeen(metadata: EntityMetadata, entity: ObjectLiteral, file: S3File): boolean {
  return loadedRowOf(metadata, entity)?.seen?.has(refId(file)) === true
}

/** @returns what makes all as it is now again: for a transaction that may be rolled back. */
export function keepLoaded(entity: object): () => void {
  const row = loaded.byEntity.get(entity)
  return () => {
    if (row === undefined) loaded.byEntity.delete(entity)
    else loaded.byEntity.set(entity, row)
  }
}

/**
 * What a property held when the entity was loaded or last saved. A copy of an entity (spread, `Object.assign`, `create()`)
 * is known by the files it has from its row.
 *
 * @returns undefined for what was not loaded: what the property says then is an instruction.
 */
export function loadedValue(
  metadata: EntityMetadata,
  entity: ObjectLiteral,
  column: FileColumn,
): { value: unknown } | undefined {
  const values = loadedRowOf(metadata, entity)?.values
  if (values === undefined || !values.has(column.propertyPath)) return undefined
  return { value: values.get(column.propertyPath) }
}

/** The row that a file was read from, or saved in. */
export function sourceOf(file: S3File): { metadata: EntityMetadata; entity: ObjectLiteral } | undefined {
  return loaded.byFile.get(file)
}

/** Whether two values of a property would be written the same. */
export function isSameValue(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((file, index) => isSameValue(file, right[index]))
  }
  return isFile(left) && isFile(right) && isSameFile(left, right)
}

function isFile(value: unknown): value is S3File {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSameFile(left: S3File, right: S3File): boolean {
  if (isUnreadable(left) || isUnreadable(right)) return left.equals(right)
  const [mine, theirs] = [left.toRecord(), right.toRecord()]
  return recordProperties.every((property) => mine[property] === theirs[property])
}

function remember(row: LoadedRow): void {
  loaded.byEntity.set(row.entity, row)
  for (const value of row.values.values()) {
    for (const file of filesIn(value)) loaded.byFile.set(file, row)
  }
}

function loadedRowOf(metadata: EntityMetadata, entity: ObjectLiteral): LoadedRow | undefined {
  const own = loaded.byEntity.get(entity)
  if (own !== undefined) return isOf(metadata, own) && hasKey(metadata, entity, own) ? own : undefined
  const id = rowId(metadata, entity)
  if (id === undefined) return undefined
  for (const column of fileColumnsOf(metadata)) {
    for (const file of filesOf(column, entity) ?? []) {
      const source = loaded.byFile.get(file)
      if (source === undefined || !isOf(metadata, source) || !isCopy(metadata, entity, source)) continue
      if (rowId(metadata, source.entity) === id) return source
    }
  }
  return undefined
}

function keyOf({ primaryColumns }: EntityMetadata, entity: ObjectLiteral): unknown[] {
  return primaryColumns.map((column) => column.getEntityValue(entity))
}

/** Whether an entity still stands for the row that it was loaded from. */
function hasKey(metadata: EntityMetadata, entity: ObjectLiteral, { key }: LoadedRow): boolean {
  const now = keyOf(metadata, entity)
  if (now.every((value, index) => value === key[index])) return true
  const then: ObjectLiteral = {}
  for (const [index, column] of metadata.primaryColumns.entries()) column.setEntityValue(then, key[index])
  return rowId(metadata, entity) === rowId(metadata, then)
}

/** Whether a row is of the table, and the database, that is written to. */
function isOf(table: EntityMetadata, { metadata }: LoadedRow): boolean {
  return metadata.tablePath === table.tablePath && isSameDatabase(dataSourceOf(table), dataSourceOf(metadata))
}

/**
 * Whether an object has all that an entity was loaded with, and that entity has not been saved since: `{ id, file }` with
 * a file that the row once had is an instruction to bring it back.
 */
function isCopy(metadata: EntityMetadata, entity: ObjectLiteral, source: LoadedRow): boolean {
  if (loaded.byEntity.get(source.entity) !== source) return false
  return metadata.columns.every(
    (column) =>
      column.isVirtual ||
      column.getEntityValue(source.entity) === undefined ||
      column.getEntityValue(entity) !== undefined,
  )
}

/** A value that stays as it is: a list may be changed in place. */
export function copyOf(value: unknown): unknown {
  return Array.isArray(value) ? [...value] : value
}
