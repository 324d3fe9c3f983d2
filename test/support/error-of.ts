import { expect } from 'vitest'
import { isS3FileError, type S3FileError } from '../../src/core/errors.ts'

/** The error of this package that `action` throws; any other outcome fails the test. */
export function errorOf(action: () => unknown): S3FileError {
  try {
    action()
  } catch (error) {
    if (isS3FileError(error)) return error
    throw error
  }
  return expect.unreachable()
}
