import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type S3FileError, UploadError } from '../../src/core/errors.ts'
import {
  attemptsOf,
  isSdkErrorNamed,
  isWithoutConnection,
  storageErrorOf,
} from '../../src/storage/s3-errors.ts'

const operation = { operation: 'PutObject', bucket: 'my-bucket', key: 'a/b.pdf' }

function sdkError(name: string, httpStatusCode?: number, attempts?: number): Error {
  return Object.assign(new Error('what the SDK says'), { name, $metadata: { httpStatusCode, attempts } })
}

describe('storageErrorOf', () => {
  it.each([
    ['NoSuchKey', 404, 'object-not-found'],
    ['NotFound', 404, 'object-not-found'],
    ['NoSuchBucket', 404, 'storage-refused'],
    ['NoSuchUpload', 404, 'storage-refused'],
    ['PreconditionFailed', 412, 'key-taken'],
    ['ConditionalRequestConflict', 409, 'key-taken'],
    ['OperationAborted', 409, 'storage-refused'],
    ['412', 412, 'key-taken'],
    ['BadDigest', 400, 'checksum-mismatch'],
    ['InvalidDigest', 400, 'checksum-mismatch'],
    ['XAmzContentChecksumMismatch', 400, 'checksum-mismatch'],
    ['XAmzContentSHA256Mismatch', 400, 'checksum-mismatch'],
    ['SlowDown', 503, 'storage-busy'],
    ['ServiceUnavailable', 503, 'storage-busy'],
    ['TooManyRequests', 429, 'storage-busy'],
    ['ThrottlingException', 400, 'storage-busy'],
    ['InternalError', 500, 'storage-failed'],
    ['GatewayTimeout', 504, 'storage-failed'],
    ['NotImplemented', 501, 'storage-refused'],
    // The SDK answers a broken response with status 200: what happened there is not known.
    ['SyntaxError', 200, 'storage-failed'],
    ['AccessDenied', 403, 'storage-refused'],
    ['SignatureDoesNotMatch', 403, 'storage-refused'],
    ['PermanentRedirect', 301, 'storage-refused'],
    ['EntityTooLarge', 400, 'storage-refused'],
    ['TimeoutError', undefined, 'storage-unreachable'],
    // The request did not even leave the client.
    ['CredentialsProviderError', undefined, 'storage-failed'],
    ['constructor', 403, 'storage-refused'],
    ['__proto__', 500, 'storage-failed'],
    ['toString', undefined, 'storage-failed'],
  ])('reads %s with status %s as %s', (name, status, code) => {
    expect(storageErrorOf(sdkError(name, status), operation)).toMatchObject({ name: 'StorageError', code })
  })

  // Node names it Error; the SDK adds its tries.
  it.each(['ECONNREFUSED', 'ENOTFOUND'])(
    'reads a network error of code %s as storage-unreachable',
    (code) => {
      const cause = Object.assign(sdkError('Error', undefined, 3), { code })
      expect(storageErrorOf(cause, operation)).toMatchObject({
        name: 'StorageError',
        code: 'storage-unreachable',
        message: expect.stringContaining(
          "S3 could not be reached for PutObject of 'a/b.pdf' in bucket 'my-bucket'",
        ),
      })
    },
  )

  it('names the operation, the object, the bucket and what S3 said', () => {
    const cause = sdkError('AccessDenied', 403)
    const error = storageErrorOf(cause, operation) as S3FileError
    expect(error.message).toBe(
      "S3 refused PutObject of 'a/b.pdf' in bucket 'my-bucket': AccessDenied (403). " +
        '`npx typeorm-s3-file doctor` checks how the storage is set up.',
    )
    expect(error.cause).toMatchObject({ name: 'AccessDenied', message: cause.message, stack: cause.stack })
    expect(error.context).toEqual({ ...operation, s3Code: 'AccessDenied', httpStatus: 403 })
  })

  it('names no object where there is none, and no status where none came', () => {
    const listing = { operation: 'ListObjectsV2', bucket: 'b', key: undefined }
    const { message } = storageErrorOf(sdkError('TimeoutError'), listing)
    expect(message).toBe(
      "S3 could not be reached for ListObjectsV2 in bucket 'b': TimeoutError: what the SDK says",
    )
  })

  it.each(['ERR_INVALID_CHAR', 'ERR_INVALID_URL', 'ERR_TLS_CERT_ALTNAME_INVALID'])(
    'reads %s of Node as storage-failed, since no network has failed',
    (code) => {
      const cause = Object.assign(new TypeError('something is invalid'), { code })
      expect(storageErrorOf(cause, operation)).toMatchObject({
        code: 'storage-failed',
        message: `S3 failed at PutObject of 'a/b.pdf' in bucket 'my-bucket': ${code}: something is invalid`,
      })
    },
  )

  it("repeats nothing of the SDK's own message, where a store may quote what was sent", () => {
    const cause = Object.assign(sdkError('InvalidAccessKeyId', 403), { AWSAccessKeyId: 'AKIAEXAMPLE' })
    cause.message = 'The key AKIAEXAMPLE with X-Amz-Signature=abc does not exist'
    const error = storageErrorOf(cause, operation) as S3FileError
    expect(error.message + JSON.stringify(error) + inspect(error.context)).not.toMatch(/AKIAEXAMPLE|abc/)
  })

  it("keeps of the SDK's error what is worth knowing, and no more", () => {
    class NoSuchThing extends Error {}
    const answer = { headers: { authorization: 'wellkept' } }
    const foreign = Object.assign(new NoSuchThing('AWSAccessKeyId=wellkept is unknown'), {
      ...{ name: 'NoSuchThing', $metadata: { attempts: 3, httpStatusCode: 404 }, Region: 'eu-west-1' },
      ...{ AWSAccessKeyId: 'wellkept', 'Token-0': 'wellkept' },
      cause: new AggregateError([new Error('Signature=wellkept')], 'all of them'),
    })
    Object.defineProperty(foreign, '$response', { value: answer, enumerable: false })
    const { cause } = storageErrorOf(foreign, operation)
    expect(cause).toBeInstanceOf(NoSuchThing)
    expect(cause).toMatchObject({
      name: 'NoSuchThing',
      message: 'AWSAccessKeyId=*** is unknown',
      stack: expect.stringContaining('s3-errors.test.ts'),
      $metadata: { attempts: 3, httpStatusCode: 404 },
      Region: 'eu-west-1',
      cause: { message: 'all of them', errors: [{ message: 'Signature=***' }] },
    })
    expect(inspect(cause, { depth: 9, showHidden: true })).not.toContain('wellkept')
    expect(foreign).toHaveProperty('$response', answer)
  })

  it('leaves an error of this package as it is', () => {
    const error = new UploadError('client-gone', 'x')
    expect(storageErrorOf(error, operation)).toBe(error)
  })

  it.each([undefined, null, 'a text', {}])('makes an error also of %j', (thrown) => {
    expect(storageErrorOf(thrown, operation)).toMatchObject({
      code: 'storage-failed',
      message: "S3 failed at PutObject of 'a/b.pdf' in bucket 'my-bucket': unknown error",
    })
  })
})

describe('isWithoutConnection', () => {
  const refused = (syscall: string) => Object.assign(new Error('x'), { code: 'ECONNREFUSED', syscall })

  it.each([
    ['a refused connection', refused('connect'), true],
    ['a name that cannot be resolved', Object.assign(new Error('x'), { syscall: 'getaddrinfo' }), true],
    ['all addresses refused', new AggregateError([refused('connect'), refused('connect')]), true],
    ['a header that cannot be sent', Object.assign(new TypeError('x'), { code: 'ERR_INVALID_CHAR' }), true],
    ['one of two addresses lost later', new AggregateError([refused('connect'), refused('read')]), false],
    ['a connection that was reset', Object.assign(new Error('x'), { code: 'ECONNRESET' }), false],
    ['an answer', sdkError('AccessDenied', 403), false],
    ['nothing', undefined, false],
  ])('tells whether a request can have reached the store: %s', (_what, error, expected) => {
    expect(isWithoutConnection(error)).toBe(expected)
  })
})

it('counts the tries of the SDK, at least one', () => {
  expect(attemptsOf(sdkError('SlowDown', 503, 5))).toBe(5)
  expect(attemptsOf(sdkError('SlowDown', 503))).toBe(1)
  expect(attemptsOf(undefined)).toBe(1)
})

it('knows an SDK error by its name', () => {
  expect(isSdkErrorNamed(sdkError('NoSuchUpload', 404), 'NoSuchUpload')).toBe(true)
  expect(isSdkErrorNamed(sdkError('NoSuchKey', 404), 'NoSuchUpload')).toBe(false)
  expect(isSdkErrorNamed(undefined, 'NoSuchUpload')).toBe(false)
})
