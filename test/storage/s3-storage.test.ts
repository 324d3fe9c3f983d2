import { Readable } from 'node:stream'
import { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import type { S3StorageOptions } from '../../src/storage/s3-storage-options.ts'

const client = new S3Client({ region: 'eu-west-1' })
const bucket = 'my-bucket'

describe('S3Storage', () => {
  it.each([
    [{}, 'invalid-option', "option 'bucket' is missing"],
    [{ bucket: '' }, 'invalid-option', "option 'bucket' takes a non-empty string"],
    [{ bucket, client, clientConfig: {} }, 'invalid-option', "give 'client' or 'clientConfig', not both"],
    [{ bucket, Bucket: bucket }, 'unknown-option', "did you mean 'bucket'?"],
    [{ bucket, region: 'eu-west-1' }, 'unknown-option', 'Put it into clientConfig: { region }.'],
    [{ bucket, endpoint: 'http://x' }, 'unknown-option', 'Put it into clientConfig: { endpoint }.'],
    [{ bucket, expiresInSeconds: 60 }, 'unknown-option', 'Put it into urls: { expiresInSeconds }.'],
    [{ bucket, keyPrefix: 'a/../b' }, 'invalid-option', "'a/../b' cannot be a key prefix"],
    [{ bucket, partSizeBytes: 5_242_879 }, 'invalid-option', 'an integer from 5242880 to 5368709120'],
    [{ bucket, partSizeBytes: 5_368_709_121 }, 'invalid-option', 'an integer from 5242880 to 5368709120'],
    [{ bucket, maxConcurrentParts: 0 }, 'invalid-option', 'an integer from 1 to 100'],
    [{ bucket, unsignedPayload: 'never' }, 'invalid-option', "'tls' or 'always'"],
    [{ bucket, checksum: 'md5' }, 'invalid-option', "'crc32' or 'none'"],
    [{ bucket, urls: { expiresInSeconds: 604_801 } }, 'invalid-option', 'an integer from 1 to 604800'],
    [
      { bucket, urls: { inlineTypes: ['text/html'] } },
      'invalid-option',
      'types that a browser shows without running',
    ],
    [{ bucket, urls: { window: 1 } }, 'unknown-option', "S3Storage urls: there is no option 'window'"],
    [{ bucket, urls: { sign: () => '' } }, 'invalid-option', "option 'sign' needs 'publicBaseUrl'"],
    [
      { bucket, objectParams: { Key: 'elsewhere' } },
      'unknown-option',
      "S3Storage objectParams: there is no option 'Key'",
    ],
    [
      { bucket, objectParams: { CacheControl: 60 } },
      'invalid-option',
      "'CacheControl' takes a text of printable ASCII, not 60",
    ],
  ])('refuses %o', (options, code, message) => {
    expect(() => new S3Storage(options as unknown as S3StorageOptions)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it.each([0, -5, 1.5, Number.NaN, 604_801, 1e13])(
    'signs no URL that lives for %d seconds, alone or before a CDN, and neither does one in memory',
    async (expiresInSeconds) => {
      const urls = { publicBaseUrl: 'https://cdn', sign: (url: string) => url }
      const storages = [
        new S3Storage({ bucket, client }),
        new S3Storage({ bucket, client, urls }),
        new MemoryStorage(),
      ]
      for (const storage of storages) {
        await expect(storage.url('k', { expiresInSeconds })).rejects.toMatchObject({
          code: 'invalid-option',
          message: expect.stringContaining("option 'expiresInSeconds' takes an integer from 1 to 604800"),
        })
      }
    },
  )

  it.each([
    ...['cdn.example.com', '/files', 'ftp://cdn.example.com', 'https:cdn.example.com', 'https://', 7],
    ...['https://cdn.example.com/?v=1', 'https://cdn.example.com/#top', 'https://me:secret@cdn.example.com'],
  ])('refuses %s as publicBaseUrl', (publicBaseUrl) => {
    expect(() => new S3Storage({ bucket, urls: { publicBaseUrl: publicBaseUrl as string } })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringMatching(
          /'publicBaseUrl' takes an absolute http: or https: URL without credentials, query and fragment, not (?!.*secret)/,
        ),
      }),
    )
  })

  it.each(['https://cdn.example.com', 'http://127.0.0.1:9000/bucket/', 'HTTPS://CDN.example/a/b'])(
    'serves from %s, with one slash before the key',
    async (publicBaseUrl) => {
      const { url } = await new S3Storage({ bucket, client, urls: { publicBaseUrl } }).url('a/b c.txt')
      expect(url).toBe(`${publicBaseUrl.replace(/\/$/, '')}/a/b%20c.txt`)
    },
  )

  it.each([
    ['S3Storage', new S3Storage({ bucket, client })],
    ['MemoryStorage', new MemoryStorage()],
  ])('%s stores no object whose metadata no header can carry, and sends nothing', async (name, storage) => {
    const body = Readable.from([Buffer.from('x')])
    await expect(storage.put('k', body, { params: { Metadata: { author: 'Zoë' } } })).rejects.toMatchObject({
      code: 'invalid-option',
      message: `${name}.put params: 'author' of 'Metadata' takes a text of printable ASCII; encodeURIComponent() makes it one`,
    })
    expect(body.readableDidRead).toBe(false)
  })

  it('writes its prefix with a closing slash, and nothing outside of it', async () => {
    const storage = new S3Storage({ bucket, client, keyPrefix: 'uploads' })
    expect(storage.keyPrefix).toBe('uploads/')
    await expect(storage.copy('uploads/a', 'uploads-of-others/a')).rejects.toMatchObject({
      code: 'invalid-key',
      message: "'uploads-of-others/a' is outside of the storage's prefix 'uploads/'",
    })
  })
})
