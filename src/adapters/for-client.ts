import { STATUS_CODES } from 'node:http'
import { S3FileError, type S3FileErrorCode } from '../core/errors.js'

/** Stands for an error whose message is for those who run the application; that one is its `cause`. */
class ConcealedError extends S3FileError {}

/** Answers of the store that a client can act on, in words that name its bucket and key. */
const storeAnswers: S3FileErrorCode[] = ['object-not-found', 'key-taken']

/** The words of HTTP for a status. */
export function statusText(statusCode: number): string {
  return STATUS_CODES[statusCode] ?? 'Client Closed Request' // 499 is nginx's own.
}

/**
 * The error as a client may see it: one that tells what was wrong with the request as it is, any other with the words
 * of its status for a message. Code and status stay.
 */
export function forClient(error: S3FileError): S3FileError {
  const { code, statusCode, context } = error
  if (statusCode < 500 && !storeAnswers.includes(code)) return error
  if (error instanceof ConcealedError) return error
  return new ConcealedError(code, statusText(statusCode), { context, cause: error })
}
