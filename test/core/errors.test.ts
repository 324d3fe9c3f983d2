import { describe, expect, it, vi } from 'vitest'
import {
  ConfigurationError,
  FileRecordError,
  isS3FileError,
  S3FileError,
  type S3FileErrorCode,
  StorageError,
  UploadError,
} from '../../src/core/errors.ts'

const statusByCode: Record<S3FileErrorCode, number> = {
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
  'inspector-failed': 503,
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
  'unknown-option': 500,
  'invalid-option': 500,
  'unknown-storage': 500,
  'unknown-field': 500,
  'invalid-key': 500,
  'invalid-value': 500,
  'source-failed': 500,
  'invalid-record': 500,
  'unknown-layout': 500,
  'journal-failed': 503,
}

describe('an error', () => {
  it.each(Object.entries(statusByCode))('with code %s answers %i', (code, status) => {
    expect(new UploadError(code as S3FileErrorCode, 'x').statusCode).toBe(status)
  })

  it.each([
    ['UploadError', UploadError],
    ['StorageError', StorageError],
    ['ConfigurationError', ConfigurationError],
    ['FileRecordError', FileRecordError],
  ])('is an S3FileError that goes by the name %s', (name, Kind) => {
    const error = new Kind('no-file', 'the message')
    expect(error).toBeInstanceOf(S3FileError)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name, message: 'the message', code: 'no-file' })
  })

  it.each(Object.entries(statusByCode))(
    'with code %s and status %i says when to come back if that is 503',
    (code, status) => {
      const { headers } = new UploadError(code as S3FileErrorCode, 'x')
      expect(headers).toEqual(status === 503 ? { 'retry-after': '10' } : {})
    },
  )

  it('says when to come back in its own time', () => {
    const error = new UploadError('too-many-uploads', 'x', { context: { retryAfterSeconds: 7 } })
    expect(error.headers).toEqual({ 'retry-after': '7' })
  })

  it('keeps its cause, also one that is undefined, and has none when none was given', () => {
    const cause = new Error('underneath')
    expect(new UploadError('no-file', 'x', { cause }).cause).toBe(cause)
    expect(Object.hasOwn(new UploadError('no-file', 'x', { cause: undefined }), 'cause')).toBe(true)
    expect(Object.hasOwn(new UploadError('no-file', 'x'), 'cause')).toBe(false)
  })

  it('has a message of one line, whatever names are in it', () => {
    const error = new UploadError('no-file', "no file in field 'a\r\nERROR: forged\u2028\u001b[2J'")
    expect(error.message).toBe("no file in field 'a ERROR: forged [2J'")
  })

  it("has a context of its own, which is not the caller's object", () => {
    const context = { field: 'cv' }
    const error = new UploadError('no-file', 'x', { context })
    error.context.more = 1
    expect(context).toEqual({ field: 'cv' })
    expect(new UploadError('no-file', 'x').context).toEqual({})
  })
})

describe('isS3FileError', () => {
  it('knows an error of this package, and with a code only that one', () => {
    const error: unknown = new StorageError('key-taken', 'x')
    expect(isS3FileError(error)).toBe(true)
    expect(isS3FileError(error, 'key-taken')).toBe(true)
    expect(isS3FileError(error, 'no-file')).toBe(false)
  })

  it('knows an error of another copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../../src/core/errors.ts')
    expect(copy.UploadError).not.toBe(UploadError)
    const theirs = new copy.UploadError('no-file', 'x')
    expect(theirs).not.toBeInstanceOf(UploadError)
    expect(isS3FileError(theirs, 'no-file')).toBe(true)
    expect(copy.isS3FileError(new UploadError('no-file', 'x'), 'no-file')).toBe(true)
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'no-file'],
    ['another error', new Error('no-file')],
    ['what only looks like one', { name: 'UploadError', code: 'no-file', statusCode: 400, context: {} }],
  ])('does not take %s for one', (_what, value) => {
    expect(isS3FileError(value)).toBe(false)
  })
})
