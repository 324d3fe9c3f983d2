import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { SigningHash } from './s3-signing-hash.js'

/** Connections of one client: the SDK's own 50 would make small files wait for the parts of large ones. */
const maxSockets = 200

/** The client of a storage that was given none. */
export function createClient(
  clientConfig: S3ClientConfig = {},
  checksum: 'crc32' | 'none' = 'crc32',
): S3Client {
  const { followRegionRedirects, retryStrategy } = clientConfig
  const client = new S3Client({
    maxAttempts: 5,
    sha256: SigningHash,
    // Requests then share a context, to which a redirect and some retry strategies write what is of one request.
    cacheMiddleware: !followRegionRedirects && retryStrategy === undefined,
    // A request on which nothing moves for so long is tried again, well before the storage's own time is up.
    requestHandler: {
      connectionTimeout: 5000,
      socketTimeout: 30_000,
      httpAgent: { maxSockets },
      httpsAgent: { maxSockets },
    },
    ...(checksum === 'none' ? { requestChecksumCalculation: 'WHEN_REQUIRED' } : {}),
    ...clientConfig,
  })
  makeFast(client.config)
  return client
}

/**
 * The SDK copies its configuration four times with each request, a tenth of the work for a small file while V8 keeps it as
 * a dictionary. An object that others inherit from it keeps in the form that is copied five times as fast.
 */
function makeFast(config: object): void {
  for (const _ in Object.create(config)) break
}
