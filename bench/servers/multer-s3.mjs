import { randomUUID } from 'node:crypto'
import { S3Client } from '@aws-sdk/client-s3'
import multer from 'multer'
import multerS3 from 'multer-s3'

export default function createHandler({ bucket, clientConfig }) {
  const s3 = new S3Client(clientConfig)
  const storage = multerS3({ s3, bucket, key: (_req, _file, done) => done(null, randomUUID()) })
  const readFile = multer({ storage }).single('file')
  return (req, res) =>
    new Promise((resolve, reject) => {
      readFile(req, res, (error) => {
        if (error) reject(error)
        else resolve({ key: req.file.key, etag: req.file.etag })
      })
    })
}
