import { configureStorages, S3Storage, uploadFromRequest } from 'typeorm-s3-file'

export default function createHandler(storageOptions) {
  configureStorages({ default: new S3Storage(storageOptions) })
  return (req) => uploadFromRequest(req)
}
