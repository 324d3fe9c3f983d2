import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import { PartBuffer } from '../../src/storage/part-buffer.ts'
import type { S3Bucket } from '../../src/storage/s3-bucket.ts'
import { S3ObjectWriter } from '../../src/storage/s3-object-writer.ts'

/** A bucket where a PUT that was tried twice meets an object of the same length and without a checksum. */
const bucket = {
  name: 'bucket',
  knowsIfNoneMatch: true,
  send: async (_command: object, { operation }: { operation: string }) => {
    if (operation === 'HeadObject') return { ContentLength: 5, ETag: '"theirs"' }
    throw new StorageError('key-taken', 'taken', {
      cause: { $metadata: { attempts: 2 } },
      context: { operation },
    })
  },
} as unknown as S3Bucket

const part = new PartBuffer({
  number: 1,
  sizeBytes: 5,
  hasCrc: true,
  hashes: false,
  holder: { evict: () => undefined, isSourceHeld: () => false },
})
part.append(Buffer.from('12345'))

describe('a PUT that was tried again and meets an object of its length, with no checksum to compare', () => {
  it('is taken for done when nobody else can have the key', async () => {
    const writer = new S3ObjectWriter(bucket, 'random', { isKeyUnique: true })
    expect((await writer.put(part)).ETag).toBe('"theirs"')
  })

  it("is refused when the object may be somebody else's", async () => {
    const writer = new S3ObjectWriter(bucket, 'chosen', {})
    await expect(writer.put(part)).rejects.toMatchObject({ code: 'key-taken' })
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
    await expect(writer.put(part)).rejects.toMatchObject({
      code: 'checksum-mismatch',
      context: { operation: 'PutObject' },
    })
    expect(await writer.takeBack()).toBe(true)
    expect(sent).toEqual(['PutObject', 'DeleteObject'])
  })
})

type Answers = Record<string, object | StorageError>

/** A bucket that answers each operation as told, and remembers what it was asked. */
function bucketThat(answers: Answers) {
  const sent: string[] = []
  const send = async (_command: object, { operation }: { operation: string }) => {
    sent.push(operation)
    const answer = answers[operation] ?? {}
    if (answer instanceof StorageError) throw answer
    return answer
  }
  return { sent, bucket: { ...bucket, send } as unknown as S3Bucket }
}

const refusal = (code: 'key-taken' | 'storage-refused', attempts: number) =>
  new StorageError(code, 'no', { cause: { $metadata: { attempts } } })
const unreachable = new StorageError('storage-unreachable', 'no answer')

describe('a PUT that failed', () => {
  it.each([
    [
      'was tried again, and is not told from a taken key',
      refusal('key-taken', 2),
      ['HeadObject', 'DeleteObject'],
    ],
    ['was tried again, and is then refused', refusal('storage-refused', 2), ['DeleteObject']],
    ['had no answer', unreachable, ['DeleteObject']],
    ['was refused at once', refusal('storage-refused', 1), []],
    ['met a taken key at once', refusal('key-taken', 1), []],
  ])('is taken back where it may have been stored: %s', async (_, PutObject, asked) => {
    const { sent, bucket } = bucketThat({ PutObject, HeadObject: unreachable })
    const writer = new S3ObjectWriter(bucket, 'random', { isKeyUnique: true })
    await expect(writer.put(part)).rejects.toThrow()
    await writer.takeBack()
    expect(sent).toEqual(['PutObject', ...asked])
  })
})

describe('a Create that was tried again', () => {
  const CreateMultipartUpload = { UploadId: 'heard', $metadata: { attempts: 2 } }
  const ListMultipartUploads = { Uploads: [{ Key: 'random', UploadId: 'unheard' }] }

  it.each([
    ['the store lists none', { Uploads: [] }, {}, false],
    ['the other one is aborted', ListMultipartUploads, {}, false],
    ['the store lets nobody list them', refusal('storage-refused', 1), {}, false],
    ['they cannot be listed now', unreachable, {}, true],
    ['the other one cannot be aborted now', ListMultipartUploads, unreachable, true],
  ])('may have left an upload that nobody knows: %s', async (_, list, abort, isLeft) => {
    const { bucket } = bucketThat({
      CreateMultipartUpload,
      ListMultipartUploads: list,
      AbortMultipartUpload: abort,
    })
    const writer = new S3ObjectWriter(bucket, 'random', { isKeyUnique: true })
    expect(await writer.create(true)).toBe('heard')
    expect(writer.hasUnheardUploads).toBe(isLeft)
    if (isLeft) expect(() => writer.assertAllHeard()).toThrow('may have begun more than one')
    else writer.assertAllHeard()
  })
})
