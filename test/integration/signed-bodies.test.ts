import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import type { S3StorageOptions } from '../../src/storage/s3-storage-options.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

let world: S3World

beforeAll(async () => {
  world = await S3World.start()
})
afterEach(() => world.clear())
afterAll(() => world.stop())

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** What the signatures of an upload's bodies say of them, in the order of the bodies. */
async function hashesOf(content: Buffer, options: Partial<S3StorageOptions>): Promise<unknown[]> {
  configureStorages({ default: world.newStorage(options) })
  const file = await uploadFromStream(content, { name: 'a.bin' })
  expect((await file.bytes()).equals(content)).toBe(true)
  return world.proxy.requests
    .filter(({ operation }) => operation === 'PutObject' || operation === 'UploadPart')
    .sort((left, right) => right.bodyBytes - left.bodyBytes)
    .map(({ headers }) => headers['x-amz-content-sha256'])
}

describe('a body over plain HTTP', () => {
  it.each([
    ['of one block', 1000],
    ['of several blocks', MiB],
    ['of several parts', 8 * MiB],
    ['of no bytes', 0],
  ])('%s goes with its SHA-256', async (_, length) => {
    const content = sampleBytes(length)
    // Twice: what is hashed as it comes is known only after a first request.
    for (let time = 0; time < 2; time++) {
      expect(await hashesOf(content, {})).toEqual(
        length > 5 * MiB
          ? [sha256(content.subarray(0, 5 * MiB)), sha256(content.subarray(5 * MiB))]
          : [sha256(content)],
      )
      world.proxy.reset()
    }
  })

  it("goes without where 'unsignedPayload' says so, and S3 still checks its CRC-32", async () => {
    const content = sampleBytes(8 * MiB)
    expect(await hashesOf(content, { unsignedPayload: 'always' })).toEqual([
      'UNSIGNED-PAYLOAD',
      'UNSIGNED-PAYLOAD',
    ])
    if (!S3World.abilities.checksCrc) return
    world.proxy.inject({ on: 'UploadPart', kind: 'corruptBody' })
    await expect(hashesOf(content, { unsignedPayload: 'always' })).rejects.toMatchObject({
      code: 'checksum-mismatch',
    })
  })

  it('waits for no 100 Continue, so that its connection is one that is kept', async () => {
    await hashesOf(sampleBytes(8 * MiB), {})
    expect(world.proxy.requests.filter(({ headers }) => headers.expect !== undefined)).toEqual([])
  })
})
