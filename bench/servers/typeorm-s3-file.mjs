import { configureStorages, S3Storage, uploadFromRequest } from 'typeorm-s3-file'

export default function createHandler({ bucket, clientConfig }) {
  configureStorages({ default: new S3Storage({ bucket, clientConfig }) })
  return (req) => uploadFromRequest(req)
}
