import type { Readable } from 'node:stream'
import type { InspectOptions } from 'node:util'
import { ConfigurationError, UploadError } from './errors.js'
import { publish, publishCleanupFailure } from './events.js'
import { copyAsItself, showProperties } from './file-copies.js'
import { type FileRecord, type KnownRecord, readInit, type S3FileInit } from './file-record.js'
import type { FileStorage, OpenOptions, SignedUrl, UrlOptions } from './file-storage.js'
import { dispositionOf } from './inline-types.js'
import { unknownType } from './media-types.js'
import { checkOptions, type OptionCheck, option } from './options.js'
import { getStorage } from './storage-registry.js'
import { type GivenUp, markGone, rowKeepers, uploadStateOf } from './upload-ledger.js'

const brand = Symbol.for('typeorm-s3-file.file')
/** What `UnreadableS3File` has besides. */
export const unreadableBrand = Symbol.for('typeorm-s3-file.unreadable')

/** The longest life of a presigned URL: 7 days (AWS Signature Version 4, query string authentication). */
export const maxUrlSeconds = 604_800

/** The options of `url()`, as `checkOptions` takes them. */
export const urlOptionChecks: Record<keyof UrlOptions, OptionCheck> = {
  expiresInSeconds: option.integer(1, maxUrlSeconds),
  disposition: option.oneOf('attachment', 'inline'),
  downloadName: option.string,
  contentType: option.string,
}

const streamOptionChecks: Record<keyof OpenOptions, OptionCheck> = {
  start: option.integer(0),
  end: option.integer(0),
  signal: option.abortSignal,
}

/** What JSON shows of a file: nothing that says where it is kept. */
export interface FileJson {
  name: string
  /** Bytes. */
  size: number | null
  contentType: string | null
}

interface CachedUrl {
  options: string
  signed: Promise<SignedUrl>
  /** Milliseconds of the clock until which `signed` stays the answer; unknown while it is being signed. */
  until: number
}

const inspectCustom = Symbol.for('nodejs.util.inspect.custom')

/**
 * A file as an entity holds it: Django's field file. Immutable; two are equal when they name the same object.
 * It comes from an upload or from the database.
 *
 * Its own properties are those that JSON shows. All others are accessors of the class, so that no serializer, spread or
 * copy of properties says where the file is kept.
 */
export class S3File {
  readonly #record: KnownRecord
  #cachedUrl: CachedUrl | undefined

  /**
   * Names an object that is already in its storage. Nothing is checked there.
   *
   * @throws ConfigurationError `invalid-value` for what cannot be a file.
   */
  constructor(init: S3FileInit) {
    const record = readInit(init)
    if (typeof record === 'string') {
      throw new ConfigurationError('invalid-value', `this cannot be an S3File: ${record}`)
    }
    this.#record = record
    const { name, size, contentType } = record
    if (!isUnreadable(this)) showProperties(this, { name, size, contentType } satisfies FileJson)
    if (new.target === S3File) Object.freeze(this)
  }

  /** The object's whole key in its bucket. */
  get key(): string {
    return S3File.#recordOf(this).key
  }

  /** The name the file came with. */
  get name(): string {
    return S3File.#recordOf(this).name
  }

  /** Bytes; null only with `layout: 'key'`, which keeps the key alone. */
  get size(): number | null {
    return S3File.#recordOf(this).size
  }

  get contentType(): string | null {
    return S3File.#recordOf(this).contentType
  }

  /** The store's entity tag, without quotes. */
  get etag(): string | null {
    return S3File.#recordOf(this).etag
  }

  /** `algorithm:value` of the whole file, such as `crc32:…` in base64. */
  get checksum(): string | null {
    return S3File.#recordOf(this).checksum
  }

  get uploadedAt(): Date | null {
    return S3File.#recordOf(this).uploadedAt
  }

  /** The name of its storage, as in `configureStorages`. */
  get storage(): string {
    return S3File.#recordOf(this).storage
  }

  get [brand](): true {
    return true
  }

  /**
   * Returns a presigned URL of the file, the same one until its window ends: after `urls.windowSeconds` or half of the
   * URL's life, whichever is less. It is a download, unless the file's type is on the storage's list of types to show
   * (`urls.inlineTypes`).
   */
  async url(options?: UrlOptions): Promise<string> {
    return (await this.signedUrl(options)).url
  }

  /**
   * As `url()`, with the time when the URL ends.
   *
   * @throws ConfigurationError `unknown-option`, `invalid-option`, `unknown-storage`.
   */
  async signedUrl(options: UrlOptions = {}): Promise<SignedUrl> {
    checkOptions('S3File.url', options, urlOptionChecks)
    const { key, name } = this
    const asked = JSON.stringify(options)
    const cached = this.#cachedUrl
    if (cached?.options === asked && Date.now() < cached.until) return cached.signed
    const storage = this.#storage()
    const contentType = options.contentType ?? this.contentType ?? unknownType
    const signed = storage.url(key, {
      ...options,
      disposition: dispositionOf(contentType, storage.inlineTypes, options.disposition),
      downloadName: options.downloadName ?? name,
      contentType,
    })
    const entry: CachedUrl = { options: asked, signed, until: Number.POSITIVE_INFINITY }
    this.#cachedUrl = entry
    try {
      entry.until = (await signed).refreshAt.getTime()
    } catch (error) {
      this.#cachedUrl = undefined
      throw error
    }
    return signed
  }

  /**
   * The file's bytes, or those from `start` to `end`, both counted from 0 and included. Whoever calls ends or destroys
   * the stream.
   *
   * @throws StorageError `object-not-found`; ConfigurationError `unknown-option`, `invalid-option`.
   */
  async stream(options: OpenOptions = {}): Promise<Readable> {
    checkOptions('S3File.stream', options, streamOptionChecks)
    const { start = 0, end } = options
    if (end !== undefined && end < start) {
      throw new ConfigurationError(
        'invalid-option',
        `S3File.stream: 'end' (${end}) is before 'start' (${start})`,
      )
    }
    return this.#storage().open(this.key, options)
  }

  /** All of the file in memory. */
  async bytes(): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of await this.stream()) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }

  /** Whether the object is there. */
  async exists(): Promise<boolean> {
    return (await this.#storage().stat(this.key)) !== null
  }

  /**
   * Deletes the object of an upload that no row refers to. The file cannot be saved any more, and neither can a copy of
   * it. In a transaction that has saved the file, COMMIT is refused from then on, and the rollback deletes the object.
   *
   * @throws UploadError `file-saved` when a committed row refers to the object: clear or replace the row's file instead;
   *   JournalError `journal-failed` when the database cannot tell; StorageError what the store answered.
   */
  async discard(): Promise<void> {
    const before = uploadStateOf(this)
    if (before?.status === 'committing') throw fileSaved(this)
    if (before?.status === 'fresh' && before.isOffered) {
      markGone(this)
      return
    }
    const status = before?.status ?? 'saved'
    const state = markGone(this)
    let givenUp: GivenUp[]
    try {
      givenUp = await giveUp(this, status === 'fresh')
    } catch (error) {
      state.status = status
      throw error
    }
    await this.#storage()
      .delete(this.key)
      .catch((error: unknown) => {
        publishCleanupFailure(this.storage, this.key, error)
        throw error
      })
    publish('delete', () => ({ storage: this.storage, key: this.key, reason: 'discarded' }))
    for (const { confirm } of givenUp) await confirm()
    await state.entry?.close()
  }

  /** Whether `other` names the same object. */
  equals(other: unknown): boolean {
    return isS3File(other) && !isUnreadable(other) && other.storage === this.storage && other.key === this.key
  }

  toJSON(): FileJson {
    return { name: this.name, size: this.size, contentType: this.contentType }
  }

  [inspectCustom](
    _depth: number,
    options: InspectOptions,
    inspect: (value: unknown, options: InspectOptions) => string,
  ) {
    return `S3File ${inspect(this.toJSON(), options)}`
  }

  get [Symbol.toStringTag](): string {
    return 'S3File'
  }

  /** What a row keeps of the file. */
  toRecord(): FileRecord {
    return {
      key: this.key,
      name: this.name,
      size: this.size,
      contentType: this.contentType,
      etag: this.etag,
      checksum: this.checksum,
      uploadedAt: this.uploadedAt?.toISOString() ?? null,
      storage: this.storage,
    }
  }

  #storage(): FileStorage {
    return getStorage(this.storage)
  }

  static #recordOf(file: S3File): KnownRecord {
    if (#record in file) return file.#record
    throw new ConfigurationError(
      'invalid-value',
      'this is a copy of an S3File, which does not know its object: a file never changes, so use the file itself',
    )
  }
}

/** Asks each database to give the object up; none has when one of them refuses. */
async function giveUp(file: S3File, isFresh: boolean): Promise<GivenUp[]> {
  const givenUp: GivenUp[] = []
  try {
    for (const keeper of rowKeepers()) {
      const own = await keeper.giveUp(file, isFresh)
      if (own === null) throw fileSaved(file)
      givenUp.push(own)
    }
    return givenUp
  } catch (error) {
    for (const { undo } of givenUp) await undo()
    throw error
  }
}

function fileSaved({ name, storage, key }: S3File): UploadError {
  return new UploadError(
    'file-saved',
    `'${name}' cannot be discarded: a row refers to it. To delete it, set the row's file to null, or remove the row, ` +
      'and save',
    { context: { storage, key } },
  )
}

copyAsItself(S3File)

/** Whether a file stands for a column that cannot be read, and has `raw` instead of a record. */
export function isUnreadable(file: object): file is S3File & { raw: unknown } {
  return (file as Record<symbol, unknown>)[unreadableBrand] === true
}

/** Whether `value` is a file, of this copy of the package or of another one in the process. */
export function isS3File(value: unknown): value is S3File {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
}
