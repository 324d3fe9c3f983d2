import type { CreateMultipartUploadCommandInput } from '@aws-sdk/client-s3'
import type { PutOptions } from '../core/file-storage.js'

type ObjectInput = Omit<CreateMultipartUploadCommandInput, 'Bucket' | 'Key'>

/** What PutObject and CreateMultipartUpload alike say of the object. */
export function objectInput({ contentType, params = {} }: PutOptions): ObjectInput {
  const { Tagging, ...rest } = params
  return {
    ...(rest as ObjectInput),
    ContentType: contentType,
    ...(Tagging === undefined ? {} : { Tagging: new URLSearchParams(Tagging).toString() }),
  }
}

/** A CRC-32 as S3 answers it, as a record keeps it; one such as `…-3` is of part checksums, not of the object. */
export function wholeChecksum(crc32: string | undefined): string | null {
  return crc32 === undefined || crc32.includes('-') ? null : `crc32:${crc32}`
}
