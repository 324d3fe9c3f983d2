import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { isS3FileError, StorageError } from '../../src/core/errors.ts'
import type { S3FileInit } from '../../src/core/file-record.ts'
import type { UrlOptions } from '../../src/core/file-storage.ts'
import { isS3File, S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'

const init = {
  key: 'documents/abc/report.pdf',
  name: 'Report.pdf',
  size: 5,
  contentType: 'application/pdf',
  etag: 'abc',
  checksum: 'crc32:AAAAAA==',
  uploadedAt: '2026-11-22T09:30:05.000Z',
}

/** Numbers its URLs, each of which stays the answer for 300 seconds. */
class NumberingStorage extends MemoryStorage {
  readonly calls: [string, UrlOptions | undefined][] = []

  override async url(key: string, options?: UrlOptions) {
    this.calls.push([key, options])
    return {
      url: `https://files/${this.calls.length}`,
      expiresAt: new Date(Date.now() + 900_000),
      refreshAt: new Date(Date.now() + 300_000),
    }
  }
}

let storage: NumberingStorage
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-11-22T09:30:05Z') })
  storage = new NumberingStorage()
  configureStorages({ default: storage })
})
afterEach(() => {
  vi.useRealTimers()
  configureStorages({})
})

describe('an S3File', () => {
  it('has the properties it was made of', () => {
    const file = new S3File({ ...init, storage: 'archive' })
    expect(file).toMatchObject({ ...init, uploadedAt: new Date(init.uploadedAt), storage: 'archive' })
    expect(file.toRecord()).toEqual({ ...init, storage: 'archive' })
  })

  it('can be made of a key alone: named by its last part, in the default storage, the rest unknown', () => {
    expect(new S3File({ key: 'a/b/c.pdf' }).toRecord()).toEqual({
      key: 'a/b/c.pdf',
      name: 'c.pdf',
      size: null,
      contentType: null,
      etag: null,
      checksum: null,
      uploadedAt: null,
      storage: 'default',
    })
  })

  it('takes a Date as well as a text for the time of its upload', () => {
    const uploadedAt = new Date(init.uploadedAt)
    expect(new S3File({ ...init, uploadedAt }).toRecord().uploadedAt).toBe(init.uploadedAt)
  })

  it.each<[Partial<Record<keyof S3FileInit, unknown>>, string]>([
    [{ key: '' }, "its 'key' is not an S3 key"],
    [{ key: undefined }, "its 'key' is not an S3 key"],
    [{ key: 5, name: undefined }, "its 'key' is not an S3 key"],
    [{ key: 'folder/', name: undefined }, "its 'name' is missing"],
    [{ size: -1 }, "its 'size' is not a number of bytes"],
    [{ uploadedAt: 'yesterday' }, "its 'uploadedAt' is not a date"],
    [{ storage: '' }, "its 'storage' is missing"],
  ])('cannot be made with %j', (change, problem) => {
    try {
      new S3File({ ...init, ...change } as S3FileInit)
      expect.unreachable()
    } catch (error) {
      expect(isS3FileError(error, 'invalid-value')).toBe(true)
      expect((error as Error).message).toBe(`this cannot be an S3File: ${problem}`)
    }
  })

  it('cannot be made with a Date that is none', () => {
    expect(() => new S3File({ ...init, uploadedAt: new Date(Number.NaN) })).toThrow(
      expect.objectContaining({
        code: 'invalid-value',
        message: expect.stringContaining("its 'uploadedAt' is not"),
      }),
    )
  })

  it.each([null, undefined, 'a.pdf', 7])('cannot be made of %j', (value) => {
    expect(() => new S3File(value as never)).toThrow(
      expect.objectContaining({
        code: 'invalid-value',
        message: 'this cannot be an S3File: it is not an object',
      }),
    )
  })

  it('does not change', () => {
    const file = new S3File(init) as { -readonly [Property in keyof S3File]: S3File[Property] }
    expect(() => {
      file.key = 'other'
    }).toThrow(TypeError)
    expect(() => Object.assign(file, { bucket: 'x' })).toThrow(TypeError)
    expect(file.key).toBe(init.key)
  })

  it('equals what names the same object, whatever else they say', () => {
    const file = new S3File(init)
    expect(file.equals(new S3File({ key: init.key }))).toBe(true)
    expect(file.equals(new S3File({ ...init, key: 'other' }))).toBe(false)
    expect(file.equals(new S3File({ ...init, storage: 'archive' }))).toBe(false)
    expect(file.equals(file.toRecord())).toBe(false)
    expect(file.equals(null)).toBe(false)
  })

  it('shows its name, size and type in JSON, and no more', () => {
    expect(JSON.stringify({ file: new S3File(init) })).toBe(
      '{"file":{"name":"Report.pdf","size":5,"contentType":"application/pdf"}}',
    )
  })

  it('shows neither bucket nor credentials on the console, also after its storage was used', async () => {
    const client = new S3Client({
      region: 'eu-west-1',
      credentials: { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'the-secret', sessionToken: 'the-token' },
    })
    configureStorages({ default: new S3Storage({ bucket: 'private-bucket', client }) })
    const file = new S3File(init)
    expect(await file.url()).toContain('private-bucket')
    const shown = inspect({ file }, { depth: 10, showHidden: true }) + JSON.stringify(file)
    expect(shown).toContain('Report.pdf')
    expect(shown).not.toMatch(/private-bucket|AKIAEXAMPLE|the-secret|the-token|X-Amz/)
  })

  it('is known as a file, also to another copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../../src/core/s3-file.ts')
    const theirs = new copy.S3File(init)
    expect(theirs).not.toBeInstanceOf(S3File)
    expect(isS3File(theirs)).toBe(true)
    expect(new S3File(init).equals(theirs)).toBe(true)
    expect(await theirs.url()).toBe('https://files/1')
  })

  it.each([null, undefined, 'key', init])('is not what is only like one: %j', (value) => {
    expect(isS3File(value)).toBe(false)
  })
})

describe("a file's bytes", () => {
  let file: S3File
  beforeEach(async () => {
    await storage.put(init.key, Readable.from([Buffer.from('hello')]))
    file = new S3File(init)
  })

  it('come at once or as a stream, whole or in a range', async () => {
    expect((await file.bytes()).toString()).toBe('hello')
    const chunks = await (await file.stream({ start: 1, end: 3 })).toArray()
    expect(Buffer.concat(chunks).toString()).toBe('ell')
  })

  it('are gone after discard(), and exists() says so', async () => {
    expect(await file.exists()).toBe(true)
    await file.discard()
    expect(await file.exists()).toBe(false)
    await expect(file.bytes()).rejects.toMatchObject({ code: 'object-not-found' })
  })
})

describe('url()', () => {
  it("asks for a download under the file's own name and type", async () => {
    expect(await new S3File(init).url()).toBe('https://files/1')
    expect(storage.calls).toEqual([
      [init.key, { disposition: 'attachment', downloadName: 'Report.pdf', contentType: 'application/pdf' }],
    ])
  })

  it('never leaves the type to the store: what is unknown is bytes', async () => {
    await new S3File({ key: 'a' }).url()
    expect(storage.calls[0]?.[1]).toMatchObject({ contentType: 'application/octet-stream' })
  })

  it('hands over what it is asked', async () => {
    const options = {
      expiresInSeconds: 60,
      disposition: 'inline',
      downloadName: 'x.txt',
      contentType: 'text/plain',
    } as const
    await new S3File(init).url(options)
    expect(storage.calls).toEqual([[init.key, options]])
  })

  it('gives the same URL until refreshAt, and then another', async () => {
    const file = new S3File(init)
    expect(await file.url()).toBe('https://files/1')
    vi.advanceTimersByTime(299_999)
    expect(await file.url()).toBe('https://files/1')
    vi.advanceTimersByTime(1)
    expect(await file.url()).toBe('https://files/2')
    expect(await file.url()).toBe('https://files/2')
  })

  it('asks once for calls at the same time', async () => {
    const file = new S3File(init)
    expect(await Promise.all([file.url(), file.url()])).toEqual(['https://files/1', 'https://files/1'])
  })

  it.each([
    ['image/png', undefined, 'inline'],
    ['image/png', 'attachment', 'attachment'],
    ['application/pdf', undefined, 'attachment'],
    ['application/pdf', 'inline', 'inline'],
    ['text/html', 'inline', 'attachment'],
    ['image/svg+xml', 'inline', 'attachment'],
    [null, 'inline', 'attachment'],
  ] as const)('of type %s, asked for as %s, is served as %s', async (contentType, asked, disposition) => {
    await new S3File({ ...init, contentType }).url(asked === undefined ? {} : { disposition: asked })
    expect(storage.calls[0]?.[1]?.disposition).toBe(disposition)
  })

  it('is served by the type that is asked for, and never shown as what would run', async () => {
    const file = new S3File({ ...init, contentType: 'image/png' })
    await file.url({ contentType: 'text/html', disposition: 'inline' })
    await file.url({ contentType: 'image/png, text/html' })
    await file.url({ contentType: 'video/mp4' })
    expect(storage.calls.map(([, options]) => options?.disposition)).toEqual([
      'attachment',
      'attachment',
      'inline',
    ])
  })

  it("is shown when its type is on the storage's list", async () => {
    Object.assign(storage, { inlineTypes: ['application/pdf'] })
    await new S3File(init).url()
    await new S3File({ ...init, contentType: 'image/png' }).url()
    expect(storage.calls.map(([, options]) => options?.disposition)).toEqual(['inline', 'attachment'])
  })

  it('gives other options another URL', async () => {
    const file = new S3File(init)
    expect(await file.url({ disposition: 'inline' })).toBe('https://files/1')
    expect(await file.url({ disposition: 'attachment' })).toBe('https://files/2')
  })

  it('asks again after a failure', async () => {
    const file = new S3File(init)
    const failure = new StorageError('storage-unreachable', 'x')
    vi.spyOn(storage, 'url').mockRejectedValueOnce(failure)
    await expect(file.url()).rejects.toBe(failure)
    expect(await file.url()).toBe('https://files/1')
  })

  it('says with signedUrl() when it ends', async () => {
    const { expiresAt } = await new S3File(init).signedUrl()
    expect(expiresAt).toEqual(new Date('2026-11-22T09:45:05Z'))
  })

  it.each([
    [{ expiresInSecond: 60 }, 'unknown-option', "did you mean 'expiresInSeconds'?"],
    [{ expiresInSeconds: 604_801 }, 'invalid-option', 'an integer from 1 to 604800'],
    [{ expiresInSeconds: 0 }, 'invalid-option', 'an integer from 1 to 604800'],
    [{ disposition: 'download' }, 'invalid-option', "'attachment' or 'inline'"],
    [{ downloadName: '' }, 'invalid-option', 'a non-empty string'],
    [{ contentType: null }, 'invalid-option', 'a non-empty string'],
  ])('refuses %j', async (options, code, hint) => {
    const error = await new S3File(init).url(options as UrlOptions).catch((caught) => caught)
    expect(error).toMatchObject({ code, message: expect.stringContaining(hint) })
    expect(storage.calls).toEqual([])
  })

  it('names a storage that is not configured, and those that are', async () => {
    await expect(new S3File({ ...init, storage: 'archive' }).url()).rejects.toMatchObject({
      code: 'unknown-storage',
      message: expect.stringContaining("no storage 'archive' (configured: default)"),
    })
  })
})
