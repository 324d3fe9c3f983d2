import { isS3FileError, type S3FileErrorCode } from '../core/errors.js'

/** A store that failed may still do what it was asked, after its object was deleted. */
const failuresOfStore: S3FileErrorCode[] = ['storage-busy', 'storage-failed', 'storage-unreachable']

/** Whether a failed upload has left nothing. Otherwise its entry stays, and the janitor goes by it. */
export function isSurelyGone(error: unknown): boolean {
  if (!isS3FileError(error) || failuresOfStore.includes(error.code)) return false
  return leftBehind(error).length === 0 && error.context.mayBeLeft === undefined
}

/** What a failed upload could not take back, as its error says. */
export function leftBehind(error: unknown): string[] {
  return ((isS3FileError(error) && error.context.leftBehind) || []) as string[]
}
