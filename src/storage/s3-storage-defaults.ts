import { MiB } from '../core/bytes.js'
import { defaultInlineTypes } from '../core/inline-types.js'

/** What an `S3Storage` does where its options do not say. */
export const s3StorageDefaults = {
  partSizeBytes: 8 * MiB,
  maxConcurrentParts: 4,
  equalParts: false,
  checksum: 'crc32',
  unsignedPayload: 'tls',
  requestTimeoutSeconds: 300,
  urls: { expiresInSeconds: 900, windowSeconds: 300, inlineTypes: defaultInlineTypes },
} as const
