import { types } from 'node:util'
import { isS3FileError, type S3FileErrorCode, StorageError } from '../core/errors.js'
import { redact } from '../core/redact.js'
import { ForeignAnswer } from './s3-answers.js'
import { cureOf, regionNamedBy } from './s3-cures.js'

/** The parts of an SDK error that are looked at here. */
interface SdkError {
  name?: string
  message?: string
  /** Of a network error, such as ECONNREFUSED. */
  code?: string
  $metadata?: { httpStatusCode?: number; attempts?: number }
}

export interface S3Operation {
  operation: string
  bucket: string
  key?: string | undefined
}

/** How the request was sent, for the error to say what to change. */
export interface SentRequest {
  /** Whether it carried a checksum. */
  hasChecksum?: boolean
  /** The region that the client is made for. */
  region?: string | undefined
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

/**
 * Puts an SDK error into this package's words, once, at the boundary; one that is already in them stays. What the store
 * says may quote what was sent and is not repeated; what the SDK or Node says of its own is.
 */
export function storageErrorOf(
  error: unknown,
  { operation, bucket, key }: S3Operation,
  { hasChecksum = false, region: configuredRegion }: SentRequest = {},
): Error {
  if (isS3FileError(error)) return error
  const { name, message = '', $metadata, code: systemCode } = (error ?? {}) as SdkError
  const status = $metadata?.httpStatusCode
  const said = (status === undefined ? systemCode : undefined) ?? name ?? 'unknown error'
  const code =
    codeByName.get(said) ?? (status === undefined ? codeWithoutAnswer(error) : codeByStatus(status))
  const object = key === undefined ? '' : ` of '${key}'`
  const reason = error instanceof ForeignAnswer ? message : reasonOf(said, status, message)
  const region = code === 'storage-refused' ? regionNamedBy(error) : undefined
  const cure = cureOf({ said, status, message, hasChecksum, actualRegion: region, configuredRegion })
  return new StorageError(
    code,
    `S3 ${outcomeByCode[code]} ${operation}${object} in bucket '${bucket}': ${reason}${cure}`,
    {
      cause: withoutSecrets(error),
      context: {
        ...{ operation, bucket, key, s3Code: said, httpStatus: status },
        ...(region === undefined ? {} : { region }),
      },
    },
  )
}

function reasonOf(said: string, status: number | undefined, message: string): string {
  if (status !== undefined) return `${said} (${status})`
  const firstLine = /^.*?(?=\.?$)/m.exec(redact(message))?.[0]
  if (!firstLine) return said
  return said === 'Error' || firstLine.includes(said) ? firstLine : `${said}: ${firstLine}`
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

/**
 * A network error has a code of the system such as ECONNRESET. Without one, or with Node's `ERR_…`, something is wrong on
 * this side: credentials, a URL, a header.
 */
function codeWithoutAnswer(error: unknown): S3FileErrorCode {
  const { name, code } = (error ?? {}) as NodeJS.ErrnoException
  const isOfSystem = typeof code === 'string' && !code.startsWith('ERR_')
  return name === 'TimeoutError' || isOfSystem ? 'storage-unreachable' : 'storage-failed'
}

/** Whether no connection was made for a request that failed so: nothing of it can have reached the store. */
export function isWithoutConnection(error: unknown): boolean {
  const { code, syscall, errors } = (error ?? {}) as NodeJS.ErrnoException & { errors?: unknown[] }
  // One for each address that was tried.
  if (errors !== undefined) return errors.every(isWithoutConnection)
  return syscall === 'connect' || syscall === 'getaddrinfo' || /^ERR_(?:INVALID|UNESCAPED)_/.test(code ?? '')
}

/** Whether a storage's error says that nothing of the request can have reached the store. */
export function isNeverSent(error: unknown): boolean {
  return isS3FileError(error) && error.context.neverSent === true
}

function codeByStatus(status: number): S3FileErrorCode {
  if (status === 503 || status === 429) return 'storage-busy'
  if (status === 501) return 'storage-refused'
  // The SDK gives a broken response the status 200: what happened there is not known.
  if (status >= 500 || status < 300) return 'storage-failed'
  if (status === 412) return 'key-taken'
  return 'storage-refused'
}
