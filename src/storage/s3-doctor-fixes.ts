import type { S3Bucket } from './s3-bucket.js'

/** A command of the AWS command line for this bucket, with the endpoint where it is not AWS's own. */
export async function awsCommand({ client, name }: S3Bucket, command: string): Promise<string> {
  const [verb, ...rest] = command.split(' ')
  const endpoint = await client.config.endpoint?.()
  const url =
    endpoint === undefined || client.config.isCustomEndpoint === false
      ? ''
      : ` --endpoint-url ${endpoint.protocol}//${endpoint.hostname}${endpoint.port === undefined ? '' : `:${endpoint.port}`}`
  return ['aws', 's3api', verb, '--bucket', `${name}${url}`, ...rest].join(' ')
}

/** A value as a shell takes it. */
export function quoted(value: unknown): string {
  return `'${JSON.stringify(value).replaceAll("'", `'\\''`)}'`
}

/** What the credentials must be allowed, as a statement of an IAM policy. */
export function policyFor(bucket: string, keyPrefix: string): string {
  const arn = `arn:aws:s3:::${bucket}`
  const statements = [
    {
      Effect: 'Allow',
      Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'],
      Resource: `${arn}/${keyPrefix}*`,
    },
    { Effect: 'Allow', Action: ['s3:ListBucket', 's3:ListBucketMultipartUploads'], Resource: arn },
  ]
  return `Allow it, for instance by a policy with ${JSON.stringify({ Version: '2012-10-17', Statement: statements })}`
}
