import { types } from 'node:util'
import { isS3FileError, type S3FileErrorCode, StorageError } from '../core/errors.js'
import { redact } from '../core/redact.js'
import { ForeignAnswer } from './s3-answers.js'

/** The parts of an SDK error that are looked at here. */
interface SdkError {
  name?: string
  /** Of a network error, such as ECONNREFUSED. */
  code?: string
  $metadata?: { httpStatusCode?: number; attempts?: number }
}

export interface S3Operation {
  operation: string
  bucket: string
  key?: string | undefined
}

const codeByName = new Map<string, S3FileErrorCode>(
  Object.entries({
    ForeignAnswer: 'storage-failed',
    NoSuchKey: 'object-not-found',
    NotFound: 'object-not-found',
    PreconditionFailed: 'key-taken',
    ConditionalRequestConflict: 'key-taken',
    BadDigest: 'checksum-mismatch',
    InvalidDigest: 'checksum-mismatch',
    XAmzContentChecksumMismatch: 'checksum-mismatch',
    XAmzContentSHA256Mismatch: 'checksum-mismatch',
    SlowDown: 'storage-busy',
    Throttling: 'storage-busy',
    ThrottlingException: 'storage-busy',
    TooManyRequests: 'storage-busy',
  } satisfies Record<string, S3FileErrorCode>),
)

const outcomeByCode: Partial<Record<S3FileErrorCode, string>> = {
  'object-not-found': 'found no object for',
  'key-taken': 'already has an object for',
  'checksum-mismatch': 'got other bytes than were sent by',
  'storage-busy': 'was too busy for',
  'storage-failed': 'failed at',
  'storage-unreachable': 'could not be reached for',
  'storage-refused': 'refused',
}

/** Puts an SDK error into this package's words, once, at the boundary; one that is already in them stays. */
export function storageErrorOf(error: unknown, { operation, bucket, key }: S3Operation): Error {
  if (isS3FileError(error)) return error
  const { name, $metadata, code: systemCode } = (error ?? {}) as SdkError
  const status = $metadata?.httpStatusCode
  const said = (status === undefined ? systemCode : undefined) ?? name ?? 'unknown error'
  const code =
    codeByName.get(said) ?? (status === undefined ? codeWithoutAnswer(error) : codeByStatus(status))
  const object = key === undefined ? '' : ` of '${key}'`
  const answer = status === undefined ? said : `${said} (${status})`
  const reason = error instanceof ForeignAnswer ? error.message : answer
  return new StorageError(
    code,
    `S3 ${outcomeByCode[code]} ${operation}${object} in bucket '${bucket}': ${reason}`,
    { cause: withoutSecrets(error), context: { operation, bucket, key, s3Code: said, httpStatus: status } },
  )
}

/**
 * What is worth knowing of a foreign error. The rest is left behind: an SDK error holds the response, which leads to the
 * request with its Authorization header, and whatever else the store has answered, its `AWSAccessKeyId` for instance.
 */
const keptProperties = ['code', 'Code', 'errno', 'syscall', 'address', 'port', 'hostname', 'Region'].concat([
  '$fault',
  '$service',
  '$retryable',
  '$metadata',
])

/** A copy of a foreign error that can be logged, with all that it holds. */
export function withoutSecrets(error: unknown): unknown {
  if (typeof error === 'string') return redact(error)
  if (typeof error !== 'object' || error === null) return error
  const { name, message, stack, cause, errors } = error as Partial<AggregateError>
  const copy = new Error(
    redact(String(message ?? '')),
    cause === undefined ? {} : { cause: withoutSecrets(cause) },
  )
  // Whoever asks for `instanceof NoSuchKey` still gets an answer.
  if (types.isNativeError(error)) Object.setPrototypeOf(copy, Object.getPrototypeOf(error))
  const hidden = { name: name ?? 'Error', stack: redact(String(stack ?? name ?? '')) }
  for (const [property, value] of Object.entries(hidden)) {
    Object.defineProperty(copy, property, { value, writable: true, configurable: true })
  }
  if (Array.isArray(errors)) Object.assign(copy, { errors: errors.map(withoutSecrets) })
  for (const property of keptProperties) {
    if (Object.hasOwn(error, property)) Object.assign(copy, { [property]: (error as never)[property] })
  }
  return copy
}

/** How often the SDK sent the request that this is the answer to, or the error of. */
export function attemptsOf(outcome: unknown): number {
  return (outcome as SdkError | undefined)?.$metadata?.attempts ?? 1
}

export function isSdkErrorNamed(error: unknown, name: string): boolean {
  return (error as SdkError | undefined)?.name === name
}

/** A network error has a code such as ECONNRESET; without one the request did not even leave the client. */
function codeWithoutAnswer(error: unknown): S3FileErrorCode {
  const { name, code } = (error ?? {}) as NodeJS.ErrnoException
  return name === 'TimeoutError' || typeof code === 'string' ? 'storage-unreachable' : 'storage-failed'
}

function codeByStatus(status: number): S3FileErrorCode {
  if (status === 503 || status === 429) return 'storage-busy'
  if (status === 501) return 'storage-refused'
  // The SDK gives a broken response the status 200: what happened there is not known.
  if (status >= 500 || status < 300) return 'storage-failed'
  if (status === 412) return 'key-taken'
  return 'storage-refused'
}
