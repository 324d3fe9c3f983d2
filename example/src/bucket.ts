import { CreateBucketCommand, HeadBucketCommand, NotFound, type S3Client } from '@aws-sdk/client-s3'

export async function createBucketIfMissing(client: S3Client, bucket: string): Promise<void> {
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }))
  } catch (error) {
    if (!(error instanceof NotFound)) {
      // The answer to HEAD has no body, and so no message.
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
      throw new Error(`S3 does not give access to bucket '${bucket}' (${status ?? 'no answer'})`, {
        cause: error,
      })
    }
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
  }
}
