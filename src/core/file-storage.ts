import type { Readable } from 'node:stream'
import type { DiagnoseOptions, Finding } from './finding.js'

/** What a storage keeps of an object it has just stored. */
export interface StoredObject {
  /** Bytes. */
  size: number
  /** The store's entity tag, without quotes, where it gives one. */
  etag: string | null
  /** `algorithm:value`, such as `crc32:…` in base64: the checksum of the whole object, where one was computed. */
  checksum: string | null
}

/** What a store says of an object that is there. */
export interface ObjectStat {
  /** Bytes. */
  size: number
  etag: string | null
  contentType: string | null
  lastModified: Date | null
  /** As in `StoredObject`, where the store keeps one of the whole object. */
  checksum: string | null
}

/** An object as a storage lists it. */
export interface ListedObject {
  key: string
  /** Bytes. */
  size: number
  lastModified: Date | null
}

/** A multipart upload that was neither completed nor aborted. */
export interface ListedUpload {
  key: string
  uploadId: string
  startedAt: Date | null
}

/** An object that `deleteMany` could not delete, and why. */
export interface DeleteFailure {
  key: string
  error: unknown
}

/** What the store keeps with an object, in S3's own words. Applied alike to a single PUT and to multipart. */
export interface ObjectParams {
  /** Canned access control list, such as `private`. */
  ACL?: string
  /** Whether a bucket key encrypts the object, for SSE-KMS. */
  BucketKeyEnabled?: boolean
  /** The `Cache-Control` of answers. */
  CacheControl?: string
  /** Default: `attachment`, or `inline` for the storage's `inlineTypes`, with the file's name. */
  ContentDisposition?: string
  /** The `Content-Encoding` of answers. */
  ContentEncoding?: string
  /** The `Content-Language` of answers. */
  ContentLanguage?: string
  /** The `Expires` of answers: when caches drop the object. */
  Expires?: Date
  /** Names and values of printable ASCII: S3 sends each pair as a header. `encodeURIComponent()` encodes others. */
  Metadata?: Record<string, string>
  /** Encryption context for SSE-KMS: JSON in base64. */
  SSEKMSEncryptionContext?: string
  /** The KMS key, for SSE-KMS. */
  SSEKMSKeyId?: string
  /** `AES256`, `aws:kms` or `aws:kms:dsse`. */
  ServerSideEncryption?: string
  /** Such as `STANDARD_IA`. */
  StorageClass?: string
  /** Tags by name; encoded as S3 wants them. */
  Tagging?: Record<string, string>
}

/** What is known of a file when its object parameters are asked for. */
export interface ObjectParamsContext {
  key: string
  name: string
  contentType: string | null
}

/** Object parameters, or a function that says them for each file. */
export type ObjectParamsOption =
  | ObjectParams
  | ((file: ObjectParamsContext) => ObjectParams | Promise<ObjectParams>)

/** A part of an object that the store has confirmed; a single request that stores the whole is one too. */
export interface StoredPart {
  /** Counted from 1. */
  number: number
  bytes: number
  /** Milliseconds from the request to its answer, all tries together. */
  durationMs: number
  /** How often it was sent. */
  attempts: number
}

/** What a storage is told of the file it stores, and whom it tells how far it is. */
export interface PutOptions {
  contentType?: string
  /**
   * The most bytes that can come, where that is known: a request's Content-Length, a file's size, a limit.
   * A storage may choose its part size by it.
   */
  atMostBytes?: number
  params?: ObjectParams
  /**
   * Whether the key was drawn at random, so that nobody else's object can be there and an object of unknown
   * outcome may be deleted.
   */
  isKeyUnique?: boolean
  signal?: AbortSignal
  /**
   * Whether bytes that have come wait on this side, or all have come, so that it is not the source that is slow. For a
   * storage that judges how fast bytes come.
   */
  isSourceHeld?: () => boolean
  /** Called with the id of a multipart upload that has begun; no part is sent before it resolves. */
  onUploadId?: (uploadId: string) => Promise<void>
  /** Called with the bytes that the store has confirmed so far, and with the part that came last, where there are parts. */
  onStored?: (bytes: number, part?: StoredPart) => void
}

/** The bytes of an object to read; all of them without `start` and `end`. A range beyond the object's end is empty. */
export interface OpenOptions {
  /** First byte, counted from 0. @default 0 */
  start?: number
  /** Last byte, included, as in HTTP's Range; at least `start`. @default the object's last byte */
  end?: number
  /** Ends the reading when aborted. */
  signal?: AbortSignal
}

/** How long a URL lives, and what it answers with. */
export interface UrlOptions {
  /**
   * The URL's life in seconds, 1 to 604,800 (7 days, the limit of Signature Version 4). It counts from the start of the
   * window in which the URL is the same. @default the storage's own, such as `urls.expiresInSeconds` of `S3Storage`
   */
  expiresInSeconds?: number
  /**
   * `inline` holds for images, audio, video, PDF, JSON, CSV and plain text. What a browser would run (HTML, SVG, XML, scripts)
   * or is of another type stays an attachment. @default what the storage's `inlineTypes` say
   */
  disposition?: 'attachment' | 'inline'
  /** The name under which a browser saves the file. @default the file's name */
  downloadName?: string
  /** The `Content-Type` of the answer. @default the file's type */
  contentType?: string
}

/** A URL with the time that it lives. */
export interface SignedUrl {
  url: string
  /** When the URL ends; null for one that does not. */
  expiresAt: Date | null
  /** Until when the same call gives the same URL. */
  refreshAt: Date
}

/**
 * Where objects live: Django's Storage. Everything above it, uploads and entities alike, knows a store by this alone.
 * `lintStorage()` of `typeorm-s3-file/testing` checks an implementation.
 */
export interface FileStorage {
  /** What every key written here starts with: `''`, or a path without a leading and with a closing slash. */
  readonly keyPrefix: string

  /** Object parameters that this storage puts on every file, or a function that says them. */
  readonly objectParams?: ObjectParamsOption

  /** Types that its files are served inline as; such as `image/*`. Default: images, audio and video. */
  readonly inlineTypes?: readonly string[]

  /**
   * Stores all that `body` yields under `key` and resolves when the store has confirmed it. If `body` fails, nothing
   * is stored and the promise rejects with the body's own error; an existing object is never overwritten where
   * the store can tell. On a failure `body` may be left unread or destroyed.
   *
   * @throws StorageError `key-taken`, or what the store answered; ConfigurationError `unknown-option`, `invalid-option`
   *   for `params` that no object can have; the signal's reason when aborted.
   */
  put(key: string, body: Readable, options?: PutOptions): Promise<StoredObject>

  /**
   * Opens an object, or a range of it: a stream that the caller reads to its end or destroys. Where the object has no
   * byte of the range, as an empty one has, the stream is empty.
   *
   * @throws StorageError `object-not-found`.
   */
  open(key: string, options?: OpenOptions): Promise<Readable>

  /** What the store says of an object, or null when it is not there. */
  stat(key: string): Promise<ObjectStat | null>

  /** Deletes an object; one that is not there is no error. */
  delete(key: string): Promise<void>

  /** Deletes any number of objects and resolves with those it could not delete. */
  deleteMany(keys: Iterable<string>): Promise<DeleteFailure[]>

  /**
   * Copies an object within the storage, its content type and parameters with it.
   *
   * @throws StorageError `object-not-found`, `key-taken`.
   */
  copy(from: string, to: string): Promise<void>

  /** Objects whose key starts with `prefix` and sorts after `after`, in the order of the keys' UTF-8 bytes. */
  list(options?: { prefix?: string; after?: string }): AsyncIterable<ListedObject>

  /** Multipart uploads that are open under a prefix. A storage without multipart uploads, or a list of them, has none. */
  listUploads?(options?: { prefix?: string }): AsyncIterable<ListedUpload>

  /** Aborts a multipart upload; one that is not there is no error. */
  abortUpload?(key: string, uploadId: string): Promise<void>

  /** A URL that serves the object to whoever has it. Does not ask the store whether the object is there. */
  url(key: string, options?: UrlOptions): Promise<SignedUrl>

  /**
   * The storage's own checks for `typeorm-s3-file doctor`; without them it gets `options.contract()` alone. A method, not
   * a function that asks for a class: the storage may be of another copy of this package than whoever asks.
   */
  diagnose?(options: DiagnoseOptions): AsyncIterable<Finding>
}
