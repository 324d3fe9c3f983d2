import { configureStorages, S3Storage, uploadFromRequest } from 'typeorm-s3-file'

export default function createHandler({ bucket, clientConfig }) {
  configureStorages({ default: new S3Storage({ bucket, clientConfig, unsignedPayload: 'always' }) })
  return (req) => uploadFromRequest(req)
}
