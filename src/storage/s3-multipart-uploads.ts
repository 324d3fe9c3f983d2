import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
} from '@aws-sdk/client-s3'
import { isS3FileError } from '../core/errors.js'
import type { ListedUpload } from '../core/file-storage.js'
import type { S3Bucket } from './s3-bucket.js'
import { isSdkErrorNamed } from './s3-errors.js'

/** The multipart uploads under a prefix that were neither completed nor aborted. */
export async function* listUploads(bucket: S3Bucket, prefix: string): AsyncIterable<ListedUpload> {
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {}
  while (marker !== undefined) {
    const page: ListMultipartUploadsCommandOutput = await bucket.send(
      new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: prefix, ...marker }),
      { operation: 'ListMultipartUploads', key: prefix },
    )
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key !== undefined && UploadId !== undefined) {
        yield { key: Key, uploadId: UploadId, startedAt: Initiated ?? null }
      }
    }
    marker = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : undefined
  }
}

/** Aborts a multipart upload; one that is not there is no error. */
export async function abortUpload(bucket: S3Bucket, key: string, uploadId: string): Promise<void> {
  try {
    await bucket.send(
      new AbortMultipartUploadCommand({ Bucket: bucket.name, Key: key, UploadId: uploadId }),
      { operation: 'AbortMultipartUpload', key },
    )
  } catch (error) {
    if (!isSdkErrorNamed((error as Error).cause, 'NoSuchUpload')) throw error
  }
}

/**
 * Aborts all multipart uploads of a key but the one that is kept.
 *
 * @returns whether they are gone, as far as the store can tell: the bucket's lifecycle rule aborts those of a store that
 *   lists none.
 */
export async function abortOtherUploads(
  bucket: S3Bucket,
  key: string,
  kept: string | undefined,
): Promise<boolean> {
  let areGone = true
  try {
    for await (const found of listUploads(bucket, key)) {
      if (found.key !== key || found.uploadId === kept) continue
      await abortUpload(bucket, key, found.uploadId).catch(() => {
        areGone = false
      })
    }
    return areGone
  } catch (error) {
    return isS3FileError(error, 'storage-refused')
  }
}
