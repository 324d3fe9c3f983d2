import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { DeleteObjectCommand, PutObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { afterEach, describe, expect, it } from 'vitest'
import { PartBuffer } from '../../src/storage/part-buffer.ts'
import { S3Bucket } from '../../src/storage/s3-bucket.ts'
import { createClient } from '../../src/storage/s3-client.ts'

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** A store that notes what it is sent, and answers with the status of that many requests before. */
async function store(...statuses: number[]) {
  const requests: { what: string; body: string }[] = []
  const server = createServer(async (request, response) => {
    const body = String(await buffer(request))
    response.statusCode = statuses[requests.length] ?? 200
    requests.push({ what: `${request.method} ${request.url?.split('?')[0]}`, body })
    response.setHeader('ETag', '"x"').end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  const config: S3ClientConfig = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'x',
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  }
  return { requests, config }
}

function bucketOf(client: S3Client, ownsClient: boolean): S3Bucket {
  return new S3Bucket(client, 'b', { requestTimeoutSeconds: 60, unsignedPayload: 'tls', ownsClient })
}

function partOf(text: string): PartBuffer {
  const holder = { evict: () => undefined, isSourceHeld: () => false }
  const part = new PartBuffer({ number: 1, sizeBytes: text.length, hasCrc: true, hashes: false, holder })
  part.append(Buffer.from(text))
  part.seal()
  return part
}

const put = (bucket: S3Bucket, text: string) =>
  bucket.send(new PutObjectCommand({ Bucket: 'b', Key: text.slice(0, 5), ContentLength: text.length }), {
    operation: 'PutObject',
    part: partOf(text),
  })

const token = (count: number, delay: number) => ({ getRetryCount: () => count, getRetryDelay: () => delay })
const oneMinuteApart: S3ClientConfig['retryStrategy'] = {
  acquireInitialRetryToken: async () => token(0, 0),
  refreshRetryTokenForRetry: async () => token(1, 60_000),
  recordSuccess: () => undefined,
}

const kinds: [string, (config: S3ClientConfig) => S3Bucket][] = [
  ["a storage's own client", (config) => bucketOf(createClient(config), true)],
  ['a client that was given', (config) => bucketOf(new S3Client(config), false)],
  [
    'a given client that keeps its middleware',
    (config) => bucketOf(new S3Client({ ...config, cacheMiddleware: true }), false),
  ],
]

describe.each(kinds)('a request through %s', (_kind, bucketFor) => {
  it('is sent with its own part, also beside others', async () => {
    const { requests, config } = await store()
    const bucket = bucketFor(config)
    const texts = ['one', 'two', 'three', 'four']
    await Promise.all(texts.map((text) => put(bucket, text)))
    await put(bucket, 'five')
    expect(requests.sort((left, right) => left.body.localeCompare(right.body))).toEqual(
      [...texts, 'five'].sort().map((body) => ({ what: `PUT /b/${body}`, body })),
    )
  })

  it.each([
    ['signed', {}],
    ['left as it is by the signer', { signer: { sign: async (request: object) => request } as never }],
  ])('that is %s is sent with its part again when it is tried again', async (_how, signing) => {
    const { requests, config } = await store(500, 503)
    const body = 'again'.repeat(50_000) // More than a block.
    await put(bucketFor({ ...config, ...signing }), body)
    expect(requests).toEqual(Array.from({ length: 3 }, () => ({ what: 'PUT /b/again', body })))
  })

  it('that is cancelled between two tries ends at once, and makes no other', async () => {
    const { requests, config } = await store(503)
    const bucket = bucketFor({ ...config, retryStrategy: oneMinuteApart })
    const stop = new AbortController()
    const sent = bucket.send(new DeleteObjectCommand({ Bucket: 'b', Key: 'k' }), {
      operation: 'DeleteObject',
      signal: stop.signal,
    })
    while (requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, 100)) // Until the SDK has the answer.
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(sent).rejects.toBe(reason)
    expect(requests).toHaveLength(1)
  })

  it('whose signal was aborted before is not sent', async () => {
    const { requests, config } = await store()
    const reason = new Error('enough')
    const sent = bucketFor(config).send(new DeleteObjectCommand({ Bucket: 'b', Key: 'k' }), {
      operation: 'DeleteObject',
      signal: AbortSignal.abort(reason),
    })
    await expect(sent).rejects.toBe(reason)
    expect(requests).toHaveLength(0)
  })
})

it('is not kept when it has ended, nor is its part, by a client that keeps its middleware', async () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  const { config } = await store()
  const bucket = bucketOf(createClient(config), true)
  const send = async () => {
    const part = partOf('x'.repeat(200_000))
    const command = new PutObjectCommand({ Bucket: 'b', Key: 'k', ContentLength: part.length })
    await bucket.send(command, { operation: 'PutObject', part })
    return new WeakRef(part)
  }
  const part = await send()
  await new Promise((resolve) => setTimeout(resolve, 10)) // A WeakRef holds until the turn is over.
  collectGarbage()
  expect(part.deref()).toBeUndefined()
  await put(bucket, 'still works')
})

describe('a client that was given', () => {
  it("sends the application's own requests as before, on either side of an upload's", async () => {
    const { requests, config } = await store()
    const client = new S3Client({ ...config, cacheMiddleware: true })
    const mine = () => client.send(new PutObjectCommand({ Bucket: 'b', Key: 'mine', Body: 'mine' }))
    await mine()
    await put(bucketOf(client, false), 'ours')
    await mine()
    expect(requests.map(({ body }) => body)).toEqual(['mine', 'ours', 'mine'])
  })
})
