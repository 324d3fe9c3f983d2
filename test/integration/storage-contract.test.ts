import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lintStorage } from '../../src/storage/lint-storage.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { S3World } from '../support/s3-world.ts'

let world: S3World
beforeAll(async () => {
  world = await S3World.start()
})
afterAll(() => world.stop())

describe('the storage contract', () => {
  it('is kept by S3Storage', async () => {
    const failures = await lintStorage(world.storage, {
      largeFileBytes: 12_000_000,
      fetch: async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer()),
    }).then(
      () => [],
      (error: AggregateError) => error.errors.map((each: Error) => each.message),
    )
    const known = S3World.abilities.sortsByBytes
      ? []
      : [expect.stringMatching(/^list gives keys in the order/)]
    expect(failures).toEqual(known)
    expect(await world.openUploads()).toEqual([])
  })

  it('is kept by MemoryStorage', async () => {
    await lintStorage(new MemoryStorage({ keyPrefix: 'uploads' }))
  })
})
