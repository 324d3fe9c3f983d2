import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'

function bytesOf(text: string): Readable {
  return Readable.from([Buffer.from(text)], { objectMode: false })
}

describe('MemoryStorage', () => {
  it('shows a test what is stored, with the parameters S3 would have got', async () => {
    const storage = new MemoryStorage()
    const params = { CacheControl: 'no-store' }
    const stored = await storage.put('a.txt', bytesOf('hello'), { contentType: 'text/plain', params })
    expect(stored).toEqual({ size: 5, etag: null, checksum: 'crc32:NhCmhg==' })
    expect(storage.objects.get('a.txt')).toMatchObject({
      ...stored,
      bytes: Buffer.from('hello'),
      contentType: 'text/plain',
      params,
    })
  })

  it('keeps nothing outside of its prefix', async () => {
    const storage = new MemoryStorage({ keyPrefix: 'uploads' })
    expect(storage.keyPrefix).toBe('uploads/')
    await expect(storage.put('other/a', bytesOf('x'))).rejects.toMatchObject({ code: 'invalid-key' })
    await storage.put('uploads/a', bytesOf('x'))
    await expect(storage.copy('uploads/a', 'other/a')).rejects.toMatchObject({ code: 'invalid-key' })
    expect([...storage.objects.keys()]).toEqual(['uploads/a'])
  })

  it('refuses more bytes than were said to be the most', async () => {
    const storage = new MemoryStorage()
    await expect(storage.put('a', bytesOf('hello'), { atMostBytes: 4 })).rejects.toMatchObject({
      code: 'size-mismatch',
    })
    await storage.put('a', bytesOf('hello'), { atMostBytes: 5 })
    expect(storage.objects.size).toBe(1)
  })

  it('keeps its own copy of bytes that their owner goes on using', async () => {
    const storage = new MemoryStorage()
    const chunk = Buffer.from('hello')
    await storage.put('a', Readable.from([chunk], { objectMode: false }))
    chunk.fill(0)
    expect(storage.objects.get('a')?.bytes.toString()).toBe('hello')
  })

  it('keeps the first of two uploads of one key at the same time', async () => {
    const storage = new MemoryStorage()
    const results = await Promise.allSettled([
      storage.put('a', bytesOf('first')),
      storage.put('a', bytesOf('second')),
    ])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it.each([
    [{ prefix: 'a' }, 'unknown-option'],
    [{ keyPrefix: '../a' }, 'invalid-option'],
    [{ objectParams: 'private' }, 'invalid-option'],
    [{ objectParams: { Bucket: 'other' } }, 'unknown-option'],
    [{ objectParams: { Metadata: { name: 'é' } } }, 'invalid-option'],
  ])('refuses the options %j', (options, code) => {
    expect(() => new MemoryStorage(options as never)).toThrow(expect.objectContaining({ code }))
  })
})
