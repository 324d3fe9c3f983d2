import { randomUUID } from 'node:crypto'
import { S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import busboy from 'busboy'

/** What one writes by hand: busboy's file stream as the body of an `Upload`, 5 MiB × 4 by default. */
export default function createHandler({ bucket: Bucket, clientConfig }) {
  const client = new S3Client(clientConfig)
  return (req) =>
    new Promise((resolve, reject) => {
      const form = busboy({ headers: req.headers, limits: { files: 1 } })
      form.on('file', (_field, stream, { filename, mimeType }) => {
        stream.on('error', reject)
        const params = { Bucket, Key: randomUUID(), Body: stream, ContentType: mimeType }
        new Upload({ client, params })
          .done()
          .then(({ Key, ETag }) => resolve({ Key, ETag, filename }), reject)
      })
      form.on('error', reject)
      req.on('error', reject)
      req.pipe(form)
    })
}
