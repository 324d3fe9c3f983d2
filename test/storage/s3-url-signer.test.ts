import { Readable } from 'node:stream'
import { GetObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { describe, expect, it, vi } from 'vitest'
import { type S3UrlSettings, S3UrlSigner } from '../../src/storage/s3-url-signer.ts'

const credentials = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'the-secret' }
/** The first millisecond of a window of 300 seconds. */
const windowStart = Date.parse('2026-11-22T09:30:00Z')

function clientWith(config: S3ClientConfig = {}): S3Client {
  return new S3Client({ region: 'eu-west-1', credentials, ...config })
}

function signerFor(
  client: S3Client,
  settings: Partial<S3UrlSettings> = {},
  now: () => number = () => windowStart,
  bucket = 'my-bucket',
): S3UrlSigner {
  return new S3UrlSigner(
    client,
    bucket,
    { expiresInSeconds: 900, windowSeconds: 300, publicBaseUrl: undefined, sign: undefined, ...settings },
    now,
  )
}

function lifeOf(url: string): number {
  return Number(new URL(url).searchParams.get('X-Amz-Expires'))
}

function signedAt(url: string): string | null {
  return new URL(url).searchParams.get('X-Amz-Date')
}

const keys = [
  'a/b.pdf',
  'a b+c.txt',
  `it's "quoted" (1)*!.txt`,
  '100%25/%41.txt',
  '报告/é.pdf',
  '😀',
  'a&b=c?d#e;f:g@h,i$j.txt',
  '~tilde_-.txt',
]

const clients: [string, S3ClientConfig][] = [
  ['virtual-hosted style', {}],
  ['path style', { forcePathStyle: true }],
  ['an endpoint with a port', { endpoint: 'http://localhost:9000', forcePathStyle: true }],
  ['an endpoint with a path', { endpoint: 'https://storage.example/s3', forcePathStyle: true }],
  ['another region', { region: 'us-east-1' }],
  ['an accelerated endpoint', { useAccelerateEndpoint: true }],
  ['checksums only where they are required', { responseChecksumValidation: 'WHEN_REQUIRED' }],
  ['temporary credentials', { credentials: { ...credentials, sessionToken: 'the token+/=' } }],
]

/**
 * The SDK's own URL for the same. It asks for a checksum, which only the SDK would compare: a browser does not, so the
 * header that becomes its parameter is dropped here.
 */
function theirUrl(client: S3Client, key: string, bucket = 'my-bucket'): Promise<string> {
  const command = new GetObjectCommand({
    Bucket: bucket,
    Key: key,
    ResponseContentDisposition: 'inline; filename="a b.txt"',
    ResponseContentType: 'text/plain',
  })
  command.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      for (const name of Object.keys(headers)) if (name.includes('checksum')) delete headers[name]
      return next(args)
    },
    { step: 'build', priority: 'low' },
  )
  return getSignedUrl(client, command, { expiresIn: 900, signingDate: new Date(windowStart) })
}

function partsOf(url: string): unknown {
  const { origin, pathname, searchParams } = new URL(url)
  return { origin, pathname, parameters: [...searchParams].sort() }
}

describe.each(clients)('a presigned URL with %s', (_style, config) => {
  it.each(keys)("is the SDK's own for %j, down to the signature", async (key) => {
    const client = clientWith(config)
    const { url } = await signerFor(client).sign(key, {
      disposition: 'inline',
      downloadName: 'a b.txt',
      contentType: 'text/plain',
    })
    expect(partsOf(url)).toEqual(partsOf(await theirUrl(client, key)))
  })
})

describe('a presigned URL', () => {
  it("asks for a download under the key's last part when nothing else is said", async () => {
    const { url } = await signerFor(clientWith()).sign('documents/报告.pdf')
    const { searchParams } = new URL(url)
    expect(searchParams.get('response-content-disposition')).toBe(
      'attachment; filename="__.pdf"; filename*=UTF-8\'\'%E6%8A%A5%E5%91%8A.pdf',
    )
    expect(searchParams.has('response-content-type')).toBe(false)
  })

  it('holds the session token that signed it, and not one that has been replaced', async () => {
    let sessionToken = 'first'
    const expired = new Date(Date.now() + 1000)
    const provider = async () => ({ ...credentials, sessionToken, expiration: expired })
    const signer = signerFor(clientWith({ credentials: provider }))
    await signer.sign('a')
    sessionToken = 'second'
    const { url } = await signer.sign('a')
    const tokens = [...new URL(url).searchParams].filter(([name]) => /security-token/i.test(name))
    expect(tokens).toEqual([['X-Amz-Security-Token', 'second']])
  })

  it("is signed with a secret that was changed under the same access key's id", async () => {
    let secretAccessKey = 'first'
    const provider = async () => ({
      ...credentials,
      secretAccessKey,
      expiration: new Date(Date.now() + 1000),
    })
    const signer = signerFor(clientWith({ credentials: provider }))
    await signer.sign('a')
    secretAccessKey = 'second'
    const second = clientWith({ credentials: { ...credentials, secretAccessKey } })
    const { url } = await signer.sign('a')
    expect(partsOf(url)).toEqual(partsOf((await signerFor(second).sign('a')).url))
  })

  it('is the same for all of a window, and another in the next', async () => {
    let now = windowStart
    const signer = signerFor(clientWith(), {}, () => now)
    const first = await signer.sign('a')
    expect(first.refreshAt).toEqual(new Date(windowStart + 300_000))
    now = windowStart + 299_999
    expect(await signer.sign('a')).toEqual(first)
    now = windowStart + 300_000
    const next = await signer.sign('a')
    expect(next.url).not.toBe(first.url)
    expect(next.refreshAt).toEqual(new Date(windowStart + 600_000))
  })

  it('is the same from two processes in one window', async () => {
    const { url } = await signerFor(clientWith(), {}, () => windowStart + 1000).sign('a')
    expect((await signerFor(clientWith(), {}, () => windowStart + 250_000).sign('a')).url).toBe(url)
  })

  it('is signed anew each time without a window', async () => {
    const now = windowStart + 7000
    const { url, refreshAt } = await signerFor(clientWith(), { windowSeconds: 0 }, () => now).sign('a')
    expect(signedAt(url)).toBe('20261122T093007Z')
    expect(refreshAt).toEqual(new Date(now))
  })

  it.each([
    [1, 0],
    [60, 0],
    [60, 29_999],
    [400, 123_456],
    [900, 299_999],
    [604_800, 299_999],
  ])(
    'asked for %i seconds lives no longer, %i ms into a window, and at least half of it',
    async (life, at) => {
      const now = windowStart + at
      const { url, expiresAt } = await signerFor(clientWith(), {}, () => now).sign('a', {
        expiresInSeconds: life,
      })
      expect(lifeOf(url)).toBe(life)
      const remaining = (expiresAt as Date).getTime() - now
      expect(remaining).toBeLessThanOrEqual(life * 1000)
      expect(remaining).toBeGreaterThanOrEqual((life * 1000) / 2)
    },
  )

  it('ends when the credentials end that signed it, and is refreshed by then', async () => {
    const now = Date.now()
    const expiration = new Date((Math.floor(now / 1000) + 100) * 1000)
    const client = clientWith({ credentials: { ...credentials, expiration } })
    const signer = signerFor(client, { windowSeconds: 0 }, () => Math.floor(now / 1000) * 1000)
    const { url, expiresAt } = await signer.sign('a')
    expect(expiresAt).toEqual(expiration)
    expect(lifeOf(url)).toBe(100)
    const inWindow = await signerFor(client, { windowSeconds: 300 }, () => now).sign('a')
    expect(inWindow.expiresAt).toEqual(expiration)
    expect(inWindow.refreshAt.getTime()).toBeLessThanOrEqual(expiration.getTime())
  })

  it.each([undefined, 'text/html', 'image/svg+xml'])(
    'shows nothing of type %s in the browser',
    async (contentType) => {
      const options = contentType === undefined ? {} : { contentType }
      const { url } = await signerFor(clientWith()).sign('a', { ...options, disposition: 'inline' })
      expect(new URL(url).searchParams.get('response-content-disposition')).toBe('attachment; filename="a"')
    },
  )

  it('of another file is made without the SDK, until the window or the life is another one', async () => {
    let now = windowStart
    let asked = 0
    const client = clientWith()
    client.middlewareStack.add(
      (next) => (args) => {
        asked++
        return next(args)
      },
      { step: 'initialize' },
    )
    const signer = signerFor(client, {}, () => now)
    await Promise.all(keys.map((key) => signer.sign(key)))
    expect(asked).toBe(1)
    await Promise.all(keys.map((key) => signer.sign(key, { expiresInSeconds: 60 })))
    expect(asked).toBe(2)
    now += 300_000
    await signer.sign('a')
    expect(asked).toBe(3)
  })

  it("is the SDK's own where its signature cannot be made from another URL's", async () => {
    const session = `<CreateSessionResult><Credentials><AccessKeyId>SESSION</AccessKeyId>
      <SecretAccessKey>its secret</SecretAccessKey><SessionToken>its token</SessionToken>
      <Expiration>2126-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>`
    const client = clientWith({
      requestHandler: {
        handle: async () => ({ response: { statusCode: 200, headers: {}, body: Readable.from([session]) } }),
      } as never,
    })
    const bucket = 'files--euw1-az1--x-s3'
    const { url } = await signerFor(client, {}, undefined, bucket).sign('a b.txt', {
      disposition: 'inline',
      downloadName: 'a b.txt',
      contentType: 'text/plain',
    })
    expect(new URL(url).searchParams.get('X-Amz-S3session-Token')).toBe('its token')
    expect(partsOf(url)).toEqual(partsOf(await theirUrl(client, 'a b.txt', bucket)))
  })

  it('is made without a request', async () => {
    const handle = vi.fn()
    const client = clientWith({ requestHandler: { handle } })
    await signerFor(client).sign('a')
    expect(handle).not.toHaveBeenCalled()
  })

  it.each([
    ['credentials', credentials],
    ['region', 'eu-west-1'],
  ])('fails when the %s cannot be had, and works again later', async (setting, value) => {
    const failure = new Error(`no ${setting} now`)
    const provider = vi.fn(async () => value).mockRejectedValueOnce(failure)
    const signer = signerFor(clientWith({ [setting]: provider } as S3ClientConfig))
    await expect(signer.sign('a')).rejects.toMatchObject({
      code: 'storage-failed',
      cause: { message: failure.message },
    })
    expect((await signer.sign('a')).url).toContain('X-Amz-Signature')
  })
})

describe('a URL of a public base', () => {
  it.each(['https://cdn.example/files', 'https://cdn.example/files/'])(
    'below %s does not end',
    async (base) => {
      const signer = signerFor(clientWith(), { publicBaseUrl: base })
      expect(await signer.sign("a b/it's 100%?.txt")).toEqual({
        url: 'https://cdn.example/files/a%20b/it%27s%20100%25%3F.txt',
        expiresAt: null,
        refreshAt: new Date(windowStart + 300_000),
      })
    },
  )

  it.each([
    ['at once', (url: string) => `${url}?signed`],
    ['later', async (url: string) => `${url}?signed`],
  ])('can be signed by the application, %s, and then ends', async (_when, signed) => {
    const sign = vi.fn(signed)
    const signer = signerFor(clientWith(), { publicBaseUrl: 'https://cdn.example', sign })
    const expiresAt = new Date(windowStart + 60_000)
    expect(await signer.sign('a', { expiresInSeconds: 60 })).toEqual({
      url: 'https://cdn.example/a?signed',
      expiresAt,
      refreshAt: new Date(windowStart + 30_000),
    })
    expect(sign.mock.calls).toEqual([['https://cdn.example/a', { expiresAt }]])
  })

  it('needs no credentials', async () => {
    const provider = vi.fn(() => Promise.reject(new Error('none')))
    const signer = signerFor(clientWith({ credentials: provider }), { publicBaseUrl: 'https://cdn.example' })
    expect((await signer.sign('a')).url).toBe('https://cdn.example/a')
    expect(provider).not.toHaveBeenCalled()
  })
})
