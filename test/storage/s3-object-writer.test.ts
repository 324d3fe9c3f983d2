import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import type { S3Bucket } from '../../src/storage/s3-bucket.ts'
import { S3ObjectWriter } from '../../src/storage/s3-object-writer.ts'

/** A bucket where a PUT that was tried twice meets an object of the same length and without a checksum. */
const bucket = {
  name: 'bucket',
  knowsIfNoneMatch: true,
  unsigned: (command: object) => command,
  send: async (_command: object, { operation }: { operation: string }) => {
    if (operation === 'HeadObject') return { ContentLength: 5, ETag: '"theirs"' }
    throw new StorageError('key-taken', 'taken', {
      cause: { $metadata: { attempts: 2 } },
      context: { operation },
    })
  },
} as unknown as S3Bucket

const content = { size: 5, crc: 1 }

describe('a PUT that was tried again and meets an object of its length, with no checksum to compare', () => {
  it('is taken for done when nobody else can have the key', async () => {
    const writer = new S3ObjectWriter(bucket, 'random', { isKeyUnique: true })
    expect((await writer.put(Buffer.from('12345'), content)).ETag).toBe('"theirs"')
  })

  it("is refused when the object may be somebody else's", async () => {
    const writer = new S3ObjectWriter(bucket, 'chosen', {})
    await expect(writer.put(Buffer.from('12345'), content)).rejects.toMatchObject({ code: 'key-taken' })
  })
})

describe('a PUT whose answer names another checksum', () => {
  it('is a failure, and its object is taken back', async () => {
    const sent: string[] = []
    const careless = {
      ...bucket,
      send: async (_command: object, { operation }: { operation: string }) => {
        sent.push(operation)
        return { ETag: '"e"', ChecksumCRC32: 'AAAAAA==' }
      },
    } as unknown as S3Bucket
    const writer = new S3ObjectWriter(careless, 'random', { isKeyUnique: true })
    const failure = await writer.put(Buffer.from('12345'), content).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'checksum-mismatch', context: { operation: 'PutObject' } })
    expect(await writer.takeBack(failure)).toBe(true)
    expect(sent).toEqual(['PutObject', 'DeleteObject'])
  })
})
