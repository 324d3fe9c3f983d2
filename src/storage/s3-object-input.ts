import type { CreateMultipartUploadCommandInput } from '@aws-sdk/client-s3'
import type { PutOptions } from '../core/file-storage.js'

type ObjectInput = Omit<CreateMultipartUploadCommandInput, 'Bucket' | 'Key'>

/** What PutObject and CreateMultipartUpload alike say of the object. */
export function objectInput({ contentType, params = {} }: PutOptions): ObjectInput {
  const { Tagging, ...rest } = params
  return {
    ContentType: contentType,
    ...(rest as ObjectInput),
    ...(Tagging === undefined ? {} : { Tagging: new URLSearchParams(Tagging).toString() }),
  }
}
