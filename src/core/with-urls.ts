import { ConfigurationError, isS3FileError } from './errors.js'
import type { UrlOptions } from './file-storage.js'
import { type FileJson, isS3File, type S3File } from './s3-file.js'

/** A file in JSON, ready to be downloaded. */
export interface FileWithUrl extends FileJson {
  url: string | null
  /** ISO 8601; null for a URL that does not end. */
  urlExpiresAt: string | null
  /** Why there is no URL: `invalid-record` when the row cannot be read, `unknown-storage` when its storage is not configured. */
  error?: string
}

/** `T` as JSON has it, with each file replaced. */
export type WithUrls<T> = T extends S3File
  ? FileWithUrl
  : T extends { toJSON(): infer Json }
    ? Json extends { toJSON(): unknown }
      ? ItemsWithUrls<Json>
      : WithUrls<Json>
    : T extends bigint
      ? string
      : T extends readonly (infer Item)[]
        ? WithUrls<Item>[]
        : T extends ReadonlyMap<unknown, infer Item>
          ? Record<string, WithUrls<Item>>
          : T extends ReadonlySet<infer Item>
            ? WithUrls<Item>[]
            : T extends Promise<unknown> | ((...args: never[]) => unknown)
              ? never
              : T extends object
                ? ItemsWithUrls<T>
                : T

type ItemsWithUrls<T> = {
  [Property in keyof T as [Exclude<WithUrls<T[Property]>, undefined>] extends [never]
    ? never
    : Property]: WithUrls<T[Property]>
}

/**
 * A plain copy of an entity, a list, or any structure of them that is ready for `res.json()`: each file becomes
 * `{ name, size, contentType, url, urlExpiresAt }`, at any depth. Accessors of a class, functions and lazy
 * relations are left out; `bigint` becomes text; a Set becomes a list, a Map an object; what has a `toJSON()` is asked.
 *
 * A file whose row cannot be read, or whose storage is not configured, has `url: null` and an `error`, so one bad row does
 * not fail a list.
 *
 * @throws ConfigurationError `invalid-value` for a structure that contains itself.
 */
export async function withUrls<T>(value: T, options?: UrlOptions): Promise<WithUrls<T>> {
  const places = new Map<FileWithUrl, S3File>()
  const copy = copyOf(value, [], { places, copies: new Map() })
  // Only now, when nothing above can throw any more: nobody would wait for what was begun.
  await Promise.all([...places].map(([place, file]) => fillIn(file, place, options)))
  return copy as WithUrls<T>
}

interface Copying {
  /** Where the URLs belong. */
  places: Map<FileWithUrl, S3File>
  /** Of what was met before: a structure may hold the same thing in many places. */
  copies: Map<object, unknown>
}

function copyOf(value: unknown, ancestors: object[], copying: Copying): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'function' || typeof value === 'symbol') return undefined
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Promise) return undefined
  if (ancestors.includes(value)) {
    throw new ConfigurationError('invalid-value', 'withUrls: the structure contains itself')
  }
  if (!copying.copies.has(value)) copying.copies.set(value, copyOfObject(value, ancestors, copying))
  return copying.copies.get(value)
}

function copyOfObject(value: object, ancestors: object[], copying: Copying): unknown {
  if (isS3File(value)) {
    const place = { ...value.toJSON(), url: null, urlExpiresAt: null }
    copying.places.set(place, value)
    return place
  }
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const json: unknown = value.toJSON()
    // What it gives is taken as it is, as JSON.stringify does: often it is the object itself.
    const isPlain = typeof json !== 'object' || json === null || isS3File(json)
    return isPlain
      ? copyOf(json, ancestors, copying)
      : copyOfItems(json, [...ancestors, value, json], copying)
  }
  return copyOfItems(value, [...ancestors, value], copying)
}

function copyOfItems(value: object, path: object[], copying: Copying): unknown {
  if (Array.isArray(value) || value instanceof Set) {
    return [...value].map((item) => copyOf(item, path, copying))
  }
  const copy: Record<string, unknown> = {}
  const entries = value instanceof Map ? value : Object.entries(value)
  for (const [key, item] of entries) {
    const name = String(key)
    // TypeORM keeps lazy relations in such properties, and nobody else should.
    if (/^__.*__$/.test(name)) continue
    const itemCopy = copyOf(item, path, copying)
    if (itemCopy !== undefined) copy[name] = itemCopy
  }
  return copy
}

async function fillIn(file: S3File, place: FileWithUrl, options: UrlOptions | undefined): Promise<void> {
  if (place.error !== undefined) return
  try {
    const { url, expiresAt } = await file.signedUrl(options)
    place.url = url
    place.urlExpiresAt = expiresAt?.toISOString() ?? null
  } catch (error) {
    if (!isS3FileError(error, 'unknown-storage')) throw error
    place.error = error.code
  }
}
