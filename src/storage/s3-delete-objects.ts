import { DeleteObjectsCommand } from '@aws-sdk/client-s3'
import { isS3FileError, StorageError } from '../core/errors.js'
import type { DeleteFailure } from '../core/file-storage.js'
import type { S3Bucket } from './s3-bucket.js'

// Amazon S3 API Reference, DeleteObjects.
const maxKeysPerRequest = 1000

/** DeleteObject requests that are on their way at once. */
const maxConcurrentRequests = 8

/** How a store answers a request that it does not know, or not as it is. */
const refusals: unknown[] = [400, 405, 411, 501]

/**
 * Deletes many objects with as few requests as the store lets us.
 *
 * @param deleteOne deletes one object, where the store refuses to delete several by one request.
 * @returns those that could not be deleted.
 */
export async function deleteObjects(
  bucket: S3Bucket,
  keys: string[],
  deleteOne: (key: string) => Promise<void>,
): Promise<DeleteFailure[]> {
  const failures: DeleteFailure[] = []
  for (let start = 0; start < keys.length; start += maxKeysPerRequest) {
    failures.push(...(await deleteBatch(keys.slice(start, start + maxKeysPerRequest))))
  }
  return failures

  async function deleteBatch(batch: string[]): Promise<DeleteFailure[]> {
    if (bucket.knowsDeleteObjects === false) return deleteEach(batch)
    try {
      const failed = await deleteAtOnce(bucket, batch)
      bucket.knowsDeleteObjects = true
      return failed
    } catch (error) {
      if (!isS3FileError(error, 'storage-refused') || !refusals.includes(error.context.httpStatus)) {
        return batch.map((key) => ({ key, error }))
      }
      // One key that cannot be said in XML spoils the request for all: find it.
      if (batch.length > 1 && error.context.httpStatus === 400) {
        const half = Math.ceil(batch.length / 2)
        return [...(await deleteBatch(batch.slice(0, half))), ...(await deleteBatch(batch.slice(half)))]
      }
      const failed = await deleteEach(batch)
      if (failed.length < batch.length) bucket.knowsDeleteObjects ??= false
      return failed
    }
  }

  async function deleteEach(batch: string[]): Promise<DeleteFailure[]> {
    const failed: DeleteFailure[] = []
    for (let start = 0; start < batch.length; start += maxConcurrentRequests) {
      const some = batch.slice(start, start + maxConcurrentRequests)
      await Promise.all(
        some.map((key) => deleteOne(key).catch((error: unknown) => failed.push({ key, error }))),
      )
    }
    return failed
  }
}

async function deleteAtOnce(bucket: S3Bucket, keys: string[]): Promise<DeleteFailure[]> {
  const { Errors = [] } = await bucket.send(
    new DeleteObjectsCommand({
      Bucket: bucket.name,
      Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
    }),
    { operation: 'DeleteObjects' },
  )
  return Errors.filter(({ Code }) => Code !== 'NoSuchKey').map(({ Key = '', Code }) => ({
    key: Key,
    error: new StorageError('storage-refused', `S3 refused DeleteObjects of '${Key}': ${Code}`, {
      context: { operation: 'DeleteObjects', bucket: bucket.name, key: Key, s3Code: Code },
    }),
  }))
}
