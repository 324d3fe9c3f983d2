import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { S3FileError } from '../../src/core/errors.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'

const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
const region = 'us-east-1'

// Nothing of this machine's own set-up.
beforeEach(() => {
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_PROFILE'])
    vi.stubEnv(name, undefined)
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere')
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere')
})
const stops: (() => void)[] = []
afterEach(() => {
  vi.unstubAllEnvs()
  for (const stop of stops.splice(0)) stop()
})

const storageWith = (clientConfig: S3ClientConfig) =>
  new S3Storage({ bucket: 'files', clientConfig: { forcePathStyle: true, maxAttempts: 2, ...clientConfig } })

/** The error of an upload that nobody else's key is used for: one that may be cleaned up. */
async function failureOf(storage: S3Storage, bytes = 5): Promise<S3FileError> {
  const body = Readable.from([Buffer.alloc(bytes)])
  return storage.put('k', body, { isKeyUnique: true }).then(
    () => expect.unreachable('it was stored'),
    (error: S3FileError) => error,
  )
}

/** A storage whose store answers each request so. */
async function storageAt(answer: RequestListener, config: S3ClientConfig = {}): Promise<S3Storage> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(request, response))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stops.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return storageWith({ endpoint, region, credentials, ...config })
}

const refusal = (status: number, code: string, message: string, headers = {}): RequestListener => {
  const text = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`
  return ({ method }, response) =>
    response.writeHead(status, headers).end(method === 'HEAD' ? undefined : text)
}

describe('an upload to a storage that is set up wrong', () => {
  it('says that there is no region, and where to put it', async () => {
    expect(await failureOf(storageWith({ credentials }))).toMatchObject({
      code: 'storage-failed',
      message:
        "S3 failed at PutObject of 'k' in bucket 'files': Region is missing. Put it into clientConfig: { region }, or set AWS_REGION.",
    })
  })

  it('says where to put the region that the environment has as an empty text', async () => {
    vi.stubEnv('AWS_REGION', '')
    const { message } = await failureOf(storageWith({ credentials }))
    expect(message).toMatch(
      /hostname component\. Put it into clientConfig: \{ region \}, or set AWS_REGION\.$/,
    )
  })

  it('says that there are no credentials, and points to the doctor', async () => {
    expect(await failureOf(storageWith({ region }))).toMatchObject({
      code: 'storage-failed',
      message:
        "S3 failed at PutObject of 'k' in bucket 'files': CredentialsProviderError: Could not load credentials from any " +
        'providers. `npx typeorm-s3-file doctor` checks how the storage is set up.',
    })
  })

  it("keeps the reason of the application's own provider of credentials, without its secrets", async () => {
    const provider = () => Promise.reject(new Error('the vault refused AKIAEXAMPLE: sealed'))
    const { message } = await failureOf(storageWith({ region, credentials: provider }))
    expect(message).toMatch(/: the vault refused \*\*\*: sealed$/)
  })

  it('names the host that cannot be resolved', async () => {
    const { code, message } = await failureOf(
      storageWith({ region, credentials, endpoint: 'http://s3.invalid', maxAttempts: 1 }),
    )
    expect(code).toBe('storage-unreachable')
    expect(message).toMatch(/: getaddrinfo (ENOTFOUND|EAI_AGAIN) s3\.invalid\. `npx typeorm-s3-file doctor`/)
  })

  it('says that the endpoint is no URL, which is no failure of the network', async () => {
    expect(await failureOf(storageWith({ region, credentials, endpoint: '127.0.0.1:9000' }))).toMatchObject({
      code: 'storage-failed',
      message: expect.stringMatching(/: ERR_INVALID_URL: Invalid URL$/),
    })
  })

  it.each<[string, RequestListener]>([
    [
      'by a redirect',
      refusal(301, 'PermanentRedirect', 'Use another endpoint.', { 'x-amz-bucket-region': 'eu-west-1' }),
    ],
    ['by a header', refusal(400, 'BadRequest', 'No.', { 'x-amz-bucket-region': 'eu-west-1' })],
    [
      'in its text',
      refusal(400, 'AuthorizationHeaderMalformed', "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
    ],
    [
      'as a constraint',
      refusal(
        400,
        'IllegalLocationConstraintException',
        'The eu-west-1 location constraint is incompatible for the region specific endpoint this request was sent to.',
      ),
    ],
  ])('names the right region, where the store names it %s', async (_how, answer) => {
    const { message, context } = await failureOf(await storageAt(answer))
    expect(message).toContain(
      "The bucket is in region 'eu-west-1', not 'us-east-1': set clientConfig: { region: 'eu-west-1' }.",
    )
    expect(context.region).toBe('eu-west-1')
  })

  it('names no region where the store names the one that is configured', async () => {
    const answer = refusal(400, 'BadRequest', 'No.', { 'x-amz-bucket-region': region })
    expect((await failureOf(await storageAt(answer))).message).toMatch(/: BadRequest \(400\)$/)
  })

  it.each([
    [400, 'InvalidArgument', 'Unsupported header x-amz-checksum-crc32'],
    [501, 'NotImplemented', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER is not implemented'],
  ])("names checksum: 'none' where the store refuses checksums (%i %s)", async (status, code, text) => {
    const { message } = await failureOf(await storageAt(refusal(status, code, text)))
    expect(message).toContain("The store refuses the checksum: new S3Storage({ …, checksum: 'none' }).")
  })

  it("does not name checksum: 'none' where the store refuses the key, and quotes the request", async () => {
    const quoting = refusal(403, 'InvalidAccessKeyId', 'unknown key in: x-amz-checksum-crc32: AAAAAA==')
    expect((await failureOf(await storageAt(quoting))).message).not.toContain('checksum')
  })

  it("does not name checksum: 'none' where none was sent", async () => {
    const storage = await storageAt(refusal(400, 'InvalidRequest', 'a checksum is required'), {
      requestChecksumCalculation: 'WHEN_REQUIRED',
    })
    await expect(storage.delete('k')).rejects.toThrow(/: InvalidRequest \(400\)$/)
  })

  it.each(['AccessDenied', 'SignatureDoesNotMatch', 'NoSuchBucket'])(
    'points to the doctor after %s',
    async (code) => {
      const { message } = await failureOf(await storageAt(refusal(403, code, 'No.')))
      expect(message).toContain(`${code} (403). \`npx typeorm-s3-file doctor\` checks`)
    },
  )
})

describe('an upload to a closed port', () => {
  it.each([
    ['a small file', 5],
    ['a file of several parts', 20_000_000],
  ])('has left nothing behind: %s', async (_what, bytes) => {
    const { code, message, context } = await failureOf(
      storageWith({ region, credentials, endpoint: 'http://127.0.0.1:1' }),
      bytes,
    )
    expect(code).toBe('storage-unreachable')
    expect(message).toMatch(/: connect ECONNREFUSED 127\.0\.0\.1:1$/)
    expect(context).toMatchObject({ neverSent: true })
    expect(context).not.toHaveProperty('leftBehind')
    expect(context).not.toHaveProperty('mayBeLeft')
  })

  it('names what may be left where a connection was lost before it closed', async () => {
    let isClosed = false
    const storage = await storageAt(({ socket }) => {
      isClosed = true
      socket.destroy()
      stops.splice(0).forEach((stop) => {
        stop()
      })
    })
    const { context } = await failureOf(storage)
    expect(isClosed).toBe(true)
    expect(context).not.toHaveProperty('neverSent')
    expect(context.leftBehind).toEqual(["object 'k'"])
  })
})
