import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { GiB, MiB } from '../core/bytes.js'
import type { ObjectStat } from '../core/file-storage.js'
import { maxParts } from './part-plan.js'
import type { S3Bucket } from './s3-bucket.js'
import { abortUpload } from './s3-multipart-uploads.js'

// Amazon S3 API Reference, CopyObject.
export const largestSimpleCopyBytes = 5 * GiB

/** Copies what is too large for one CopyObject, part by part within S3, with all it has but its tags and ACL. */
export async function copyInParts(
  bucket: S3Bucket,
  from: string,
  to: string,
  source: ObjectStat,
  leastPartBytes = 512 * MiB,
): Promise<void> {
  const target = { Bucket: bucket.name, Key: to }
  const head = await bucket.send(new HeadObjectCommand({ Bucket: bucket.name, Key: from }), {
    operation: 'HeadObject',
    key: from,
  })
  const { CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, ContentType, Metadata } = head
  const { BucketKeyEnabled, SSEKMSKeyId, ServerSideEncryption, StorageClass } = head
  const { UploadId } = await bucket.send(
    new CreateMultipartUploadCommand({
      ...target,
      ...{ CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, ContentType, Metadata },
      ...{ BucketKeyEnabled, SSEKMSKeyId, ServerSideEncryption, StorageClass },
    }),
    { operation: 'CreateMultipartUpload', key: to },
  )
  try {
    const partSize = Math.max(leastPartBytes, Math.ceil(source.size / maxParts / MiB) * MiB)
    const parts: CompletedPart[] = []
    for (let start = 0; start < source.size; start += partSize) {
      const PartNumber = parts.length + 1
      const { CopyPartResult } = await bucket.send(
        new UploadPartCopyCommand({
          ...target,
          UploadId,
          PartNumber,
          CopySource: copySource(bucket, from),
          CopySourceRange: `bytes=${start}-${Math.min(start + partSize, source.size) - 1}`,
        }),
        { operation: 'UploadPartCopy', key: to },
      )
      parts.push({ PartNumber, ETag: CopyPartResult?.ETag, ChecksumCRC32: CopyPartResult?.ChecksumCRC32 })
    }
    await bucket.send(
      new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: parts } }),
      {
        operation: 'CompleteMultipartUpload',
        key: to,
      },
    )
  } catch (error) {
    // The first failure is the one that counts.
    await abortUpload(bucket, to, UploadId as string).catch(() => undefined)
    throw error
  }
}

/** The source of a copy as its header wants it. */
export function copySource(bucket: S3Bucket, key: string): string {
  return `${bucket.name}/${encodeURIComponent(key).replaceAll('%2F', '/')}`
}
