import { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { lintStorage } from '../../src/storage/lint-storage.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { s3ClientConfig } from '../support/servers.ts'

/** Without the proxy in between: the client itself speaks TLS, and leaves the bodies to it and to the checksum. */
describe.runIf(S3World.server.caFile !== undefined)('over TLS', () => {
  it('keeps the storage contract and stores in parts, with bodies that are not hashed twice', async () => {
    const client = new S3Client(s3ClientConfig(S3World.server, S3World.server.endpoint))
    const hashes = new Map<string, string | undefined>()
    client.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          const { headers } = args.request as { headers: Record<string, string> }
          hashes.set(commandName as string, headers['x-amz-content-sha256'])
          return next(args)
        },
      { step: 'finalizeRequest', priority: 'low' },
    )
    const storage = new S3Storage({ bucket: S3World.server.bucket, client, partSizeBytes: 5 * MiB })
    await lintStorage(storage, { largeFileBytes: 6 * MiB })
    expect(hashes.get('PutObjectCommand')).toBe('UNSIGNED-PAYLOAD')
    expect(hashes.get('UploadPartCommand')).toBe('UNSIGNED-PAYLOAD')

    configureStorages({ default: storage })
    const content = sampleBytes(12 * MiB)
    const file = await uploadFromStream(content, { name: 'tls.bin' })
    expect((await file.bytes()).equals(content)).toBe(true)
    await file.discard()
    client.destroy()
  })
})
