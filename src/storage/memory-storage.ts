import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import { ConfigurationError, StorageError, UploadError } from '../core/errors.js'
import type {
  DeleteFailure,
  FileStorage,
  ListedObject,
  ObjectParams,
  ObjectParamsOption,
  ObjectStat,
  OpenOptions,
  PutOptions,
  SignedUrl,
  StoredObject,
  UrlOptions,
} from '../core/file-storage.js'
import { compareKeys, normalizePrefix } from '../core/object-key.js'
import { checkObjectParams } from '../core/object-params.js'
import { checkOptions, option } from '../core/options.js'
import { urlOptionChecks } from '../core/s3-file.js'
import { encodeCrc32 } from './crc32.js'

/** The options of a `MemoryStorage`. */
export interface MemoryStorageOptions {
  /** The start of each key that is written here, up to 256 bytes; a missing closing slash is added. @default '' */
  keyPrefix?: string
  /** Headers, tags and storage class that it keeps with each object, or a function that returns them. */
  objectParams?: ObjectParamsOption
}

/** An object as `MemoryStorage` keeps it. */
export interface MemoryObject extends ObjectStat {
  bytes: Buffer
  params: ObjectParams
}

/** A storage in memory, for the tests of applications. Its URLs (`memory:…`) name the object but serve nothing. */
export class MemoryStorage implements FileStorage {
  readonly keyPrefix: string
  readonly objectParams?: ObjectParamsOption
  /** What is stored, by key: for a test to look at. */
  readonly objects = new Map<string, MemoryObject>()

  /** @throws ConfigurationError `unknown-option`, `invalid-option`. */
  constructor(options: MemoryStorageOptions = {}) {
    checkOptions('MemoryStorage', options, { keyPrefix: option.text, objectParams: option.objectOrFunction })
    this.keyPrefix = normalizePrefix('MemoryStorage', options.keyPrefix)
    if (typeof options.objectParams === 'object') {
      checkObjectParams('MemoryStorage objectParams', options.objectParams)
    }
    if (options.objectParams !== undefined) this.objectParams = options.objectParams
  }

  async put(key: string, body: Readable, options: PutOptions = {}): Promise<StoredObject> {
    this.#assertFree(key)
    const chunks: Buffer[] = []
    options.signal?.throwIfAborted()
    const onAbort = () => body.destroy(options.signal?.reason)
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for await (const chunk of body) chunks.push(Buffer.from(chunk as Buffer))
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
    options.signal?.throwIfAborted()
    const bytes = Buffer.concat(chunks)
    if (options.atMostBytes !== undefined && bytes.length > options.atMostBytes) {
      throw new UploadError(
        'size-mismatch',
        `more bytes came than the ${options.atMostBytes} that were announced`,
      )
    }
    this.#assertFree(key)
    const stored = { size: bytes.length, etag: null, checksum: `crc32:${encodeCrc32(crc32(bytes))}` }
    this.objects.set(key, {
      ...stored,
      bytes,
      contentType: options.contentType ?? null,
      lastModified: new Date(),
      params: options.params ?? {},
    })
    options.onStored?.(bytes.length, { number: 1, bytes: bytes.length, durationMs: 0, attempts: 1 })
    return stored
  }

  async open(key: string, { start = 0, end }: OpenOptions = {}): Promise<Readable> {
    const bytes = this.#find(key).bytes.subarray(start, end === undefined ? undefined : end + 1)
    return Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false })
  }

  async stat(key: string): Promise<ObjectStat | null> {
    const object = this.objects.get(key)
    if (object === undefined) return null
    const { size, etag, contentType, lastModified, checksum } = object
    return { size, etag, contentType, lastModified, checksum }
  }

  async delete(key: string): Promise<void> {
    this.objects.delete(key)
  }

  async deleteMany(keys: Iterable<string>): Promise<DeleteFailure[]> {
    for (const key of keys) this.objects.delete(key)
    return []
  }

  async copy(from: string, to: string): Promise<void> {
    const source = this.#find(from)
    this.#assertFree(to)
    this.objects.set(to, { ...source, lastModified: new Date() })
  }

  async *list({
    prefix = this.keyPrefix,
    after,
  }: {
    prefix?: string
    after?: string
  } = {}): AsyncIterable<ListedObject> {
    for (const key of [...this.objects.keys()].sort(compareKeys)) {
      const object = this.objects.get(key)
      if (object === undefined || !key.startsWith(prefix)) continue
      if (after !== undefined && compareKeys(key, after) <= 0) continue
      yield { key, size: object.size, lastModified: object.lastModified }
    }
  }

  async url(key: string, options: UrlOptions = {}): Promise<SignedUrl> {
    checkOptions('MemoryStorage.url', options, urlOptionChecks)
    const { expiresInSeconds = 900 } = options
    const now = Date.now()
    return {
      url: `memory:${key.split('/').map(encodeURIComponent).join('/')}`,
      expiresAt: new Date(now + expiresInSeconds * 1000),
      refreshAt: new Date(now),
    }
  }

  #find(key: string): MemoryObject {
    const object = this.objects.get(key)
    if (object === undefined) {
      throw new StorageError('object-not-found', `there is no object '${key}' in memory`, {
        context: { key },
      })
    }
    return object
  }

  #assertFree(key: string): void {
    if (!key.startsWith(this.keyPrefix)) {
      throw new ConfigurationError(
        'invalid-key',
        `'${key}' is outside of the storage's prefix '${this.keyPrefix}'`,
      )
    }
    if (this.objects.has(key)) {
      throw new StorageError('key-taken', `there is already an object '${key}' in memory`, {
        context: { key },
      })
    }
  }
}
