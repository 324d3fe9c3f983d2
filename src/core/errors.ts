/** Each code with the HTTP status that answers it. The table is the whole list of what can go wrong here. */
const statusByCode = {
  // What a client sent.
  'not-multipart': 400,
  'malformed-body': 400,
  'truncated-body': 400,
  'no-file': 400,
  'not-a-file': 400,
  'unexpected-field': 400,
  'invalid-prefix': 400,
  'file-too-small': 400,
  'size-mismatch': 400,
  'request-timeout': 408,
  'too-slow': 408,
  'file-too-large': 413,
  'request-too-large': 413,
  'field-too-large': 413,
  'file-name-too-long': 413,
  'part-header-too-large': 413,
  'too-many-files': 413,
  'too-many-fields': 413,
  'too-many-parts': 413,
  'type-not-accepted': 415,
  'rejected-by-inspector': 422,
  'client-gone': 499,
  'upload-aborted': 499,
  'body-consumed': 500,
  'too-many-uploads': 503,
  // What looks at the files could not do so.
  'inspector-failed': 503,
  // What the object store answered, or did not.
  'object-not-found': 404,
  'key-taken': 409,
  'file-gone': 409,
  'file-saved': 409,
  'file-changed': 409,
  'storage-refused': 502,
  'storage-failed': 502,
  'storage-unreachable': 502,
  'checksum-mismatch': 502,
  'storage-busy': 503,
  // How this package was set up or called.
  'unknown-option': 500,
  'invalid-option': 500,
  'unknown-storage': 500,
  'unknown-field': 500,
  'invalid-key': 500,
  'invalid-value': 500,
  'source-failed': 500,
  // What the database holds.
  'invalid-record': 500,
  'unknown-layout': 500,
  'journal-failed': 503,
} as const

/** What went wrong, as a word that stays the same from release to release. */
export type S3FileErrorCode = keyof typeof statusByCode

/** What an error carries besides its code and message. */
export interface S3FileErrorOptions {
  /** The limit, field, key or operation concerned. Never a credential, a signature or a presigned URL. */
  context?: Record<string, unknown>
  cause?: unknown
}

/** When a store, a journal or an inspector that fails is worth another try, where nothing says it better. */
const defaultRetryAfterSeconds = 10

const brand = Symbol.for('typeorm-s3-file.error')

/**
 * The one base of all errors thrown here. `statusCode` is the HTTP status that answers the client; Express,
 * Fastify and Koa use it as it is.
 */
export abstract class S3FileError extends Error {
  readonly code: S3FileErrorCode
  readonly statusCode: number
  readonly context: Record<string, unknown>

  constructor(code: S3FileErrorCode, message: string, options: S3FileErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = new.target.name
    this.code = code
    this.statusCode = statusByCode[code]
    this.context = { ...options.context }
  }

  /**
   * For the answer: `Retry-After` with a status 503, otherwise none. Express, Fastify and Koa send it by themselves; a
   * handler of your own sends it with `response.set(error.headers)`.
   */
  get headers(): Record<string, string> {
    const { retryAfterSeconds = defaultRetryAfterSeconds } = this.context
    return this.statusCode === 503 ? { 'retry-after': String(retryAfterSeconds) } : {}
  }

  get [brand](): true {
    return true
  }
}

/** An upload that did not become a file: the client's doing, a limit, or an abort. */
export class UploadError extends S3FileError {
  constructor(code: S3FileErrorCode, message: string, options?: S3FileErrorOptions) {
    // A client's names stand in it, which could write lines of their own into a log.
    super(code, message.replace(/[\p{Cc}\u2028\u2029]+/gu, ' '), options)
  }
}

/** The object store refused, failed or could not be reached. */
export class StorageError extends S3FileError {}

/** An option, a name or a call that cannot be right, whatever the client sends. */
export class ConfigurationError extends S3FileError {}

/** The file journal could not be read or written. */
export class JournalError extends S3FileError {}

/** A column holds something that is no file record. */
export class FileRecordError extends S3FileError {}

/**
 * Whether `value` is an error of this package, and, with `code`, that one. Goes by a brand rather than
 * `instanceof`, so that it also holds between the ESM and the CommonJS copy.
 */
export function isS3FileError(value: unknown, code?: S3FileErrorCode): value is S3FileError {
  if (typeof value !== 'object' || value === null || (value as Record<symbol, unknown>)[brand] !== true) {
    return false
  }
  return code === undefined || (value as S3FileError).code === code
}
