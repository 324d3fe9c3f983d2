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

/** The error of this package that `work` fails with; any other outcome fails the test. */
export async function failureOf(work: Promise<unknown>): Promise<S3FileError> {
  return work.then(
    () => expect.unreachable('it must fail'),
    (error: unknown) =>
      errorOf(() => {
        throw error
      }),
  )
}
