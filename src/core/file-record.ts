import { isValidKey } from './object-key.js'

/** What a row keeps of a file: plain, and the same in every layout. */
export interface FileRecord {
  /** The object's whole key in its bucket. */
  key: string
  /** The name the file came with, made safe to show. */
  name: string
  /** Bytes; null where the layout does not keep it. */
  size: number | null
  contentType: string | null
  etag: string | null
  /** `algorithm:value` of the whole object. */
  checksum: string | null
  /** ISO 8601 in UTC. */
  uploadedAt: string | null
  /** The name of the storage, as in `configureStorages`. */
  storage: string
}

/** What it takes to name an object that is already there; the rest of the record may stay unknown. */
export type S3FileInit = Pick<FileRecord, 'key'> &
  Partial<Omit<FileRecord, 'key' | 'uploadedAt'>> & { uploadedAt?: Date | string | null }

/** A record with its date read. */
export type KnownRecord = Omit<FileRecord, 'uploadedAt'> & { uploadedAt: Date | null }

/** The properties of a record in the order in which JSON shows them. */
export const recordProperties = [
  'key',
  'name',
  'size',
  'contentType',
  'etag',
  'checksum',
  'uploadedAt',
  'storage',
] as const satisfies (keyof FileRecord)[]

/**
 * Reads a record from what a database or a caller gave. Properties it does not know are left out, those that may
 * be null may be absent.
 *
 * @returns the record, or a sentence that says what is wrong with it.
 */
export function parseFileRecord(value: unknown): FileRecord | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not an object'
  const given = value as Partial<Record<keyof FileRecord, unknown>>
  if (typeof given.key !== 'string' || !isValidKey(given.key)) return `its 'key' is not an S3 key`
  for (const property of ['name', 'storage'] as const) {
    if (typeof given[property] !== 'string' || given[property] === '') return `its '${property}' is missing`
  }
  const size = given.size ?? null
  if (size !== null && !(Number.isSafeInteger(size) && (size as number) >= 0)) {
    return `its 'size' is not a number of bytes`
  }
  for (const property of ['contentType', 'etag', 'checksum', 'uploadedAt'] as const) {
    const text = given[property] ?? null
    if (text !== null && typeof text !== 'string') return `its '${property}' is not a text`
  }
  const uploadedAt = (given.uploadedAt ?? null) as string | null
  if (uploadedAt !== null && Number.isNaN(Date.parse(uploadedAt))) return `its 'uploadedAt' is not a date`
  return {
    key: given.key,
    name: given.name as string,
    size: size as number | null,
    contentType: (given.contentType ?? null) as string | null,
    etag: (given.etag ?? null) as string | null,
    checksum: (given.checksum ?? null) as string | null,
    uploadedAt,
    storage: given.storage as string,
  }
}

/**
 * Reads what an `S3File` is made of.
 *
 * @returns the record, or a sentence that says what is wrong with it.
 */
export function readInit(init: S3FileInit): KnownRecord | string {
  const uploadedAt = dateOf(init?.uploadedAt)
  const record = parseFileRecord(withDefaults(init, uploadedAt))
  return typeof record === 'string' ? record : { ...record, uploadedAt }
}

/** What a record must have and an init need not. Goes by name: a file, whose properties are accessors, is one, too. */
function withDefaults(init: S3FileInit, uploadedAt: Date | null): unknown {
  if (typeof init?.key !== 'string') return init
  const { key, size, contentType, etag, checksum } = init
  return {
    key,
    name: init.name ?? key.split('/').at(-1),
    size,
    contentType,
    etag,
    checksum,
    uploadedAt: uploadedAt === null ? init.uploadedAt : null, // To read a date takes longer than all else.
    storage: init.storage ?? 'default',
  }
}

/** A date of its own; null for what is none. */
function dateOf(value: unknown): Date | null {
  if (typeof value !== 'string' && !(value instanceof Date)) return null
  const date = new Date(value)
  return Number.isNaN(date.getTime()) ? null : date
}
