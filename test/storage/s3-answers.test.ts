import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { S3Storage } from '../../src/storage/s3-storage.ts'

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** A storage whose store answers each request with that status and body. */
async function storageThatGets(body: string, status = 200, headers = {}): Promise<S3Storage> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(status, headers).end(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  return new S3Storage({
    bucket: 'b',
    clientConfig: {
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'x',
      forcePathStyle: true,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      maxAttempts: 1,
    },
  })
}

const listed = async (items: AsyncIterable<{ key: string }>) => {
  const keys: string[] = []
  for await (const { key } of items) keys.push(key)
  return keys
}

describe('a list', () => {
  it.each([
    ['with a declaration', '<?xml version="1.0"?>\n'],
    ['with nothing before it', ''],
  ])('is read %s', async (_, start) => {
    const storage = await storageThatGets(
      `${start}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents><Key>k</Key></Contents></ListBucketResult>`,
    )
    expect(await listed(storage.list())).toEqual(['k'])
  })

  it('is read with a prefix to its names', async () => {
    const storage = await storageThatGets('<s3:ListBucketResult xmlns:s3="x"></s3:ListBucketResult>')
    expect(await listed(storage.list())).toEqual([])
  })

  it.each([
    ['objects', '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'],
    [
      'objects',
      '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken/></ListBucketResult>',
    ],
    ['uploads', '<ListMultipartUploadsResult><IsTruncated> true </IsTruncated></ListMultipartUploadsResult>'],
  ])('of %s that goes on, and does not say where, is not taken for the whole: %s', async (what, xml) => {
    const storage = await storageThatGets(xml)
    const list = what === 'objects' ? storage.list() : storage.listUploads()
    await expect(listed(list)).rejects.toMatchObject({
      code: 'storage-failed',
      message: expect.stringMatching(/has no Next(ContinuationToken|KeyMarker)/),
    })
  })
})

describe('an error that comes with the status of a success', () => {
  const error = '<?xml version="1.0"?><Error><Code>InternalError</Code></Error>\n'

  it('deletes nothing', async () => {
    const storage = await storageThatGets(error)
    expect(await storage.deleteMany(['k'])).toMatchObject([
      { key: 'k', error: { code: 'storage-failed', context: { s3Code: 'InternalError' } } },
    ])
  })

  it('is no empty list', async () => {
    const storage = await storageThatGets(error)
    await expect(listed(storage.list())).rejects.toMatchObject({ context: { s3Code: 'InternalError' } })
  })
})

describe('a 404', () => {
  it.each([
    ['an error of S3', '<Error><Code>NoSuchKey</Code></Error>'],
    ['nothing', ''],
  ])('with %s says that there is no such object', async (_, body) => {
    const storage = await storageThatGets(body, 404)
    await storage.delete('k')
    await expect(storage.open('k')).rejects.toMatchObject({ code: 'object-not-found' })
  })

  it.each(['404 page not found', '<html></html>', '{"error":"not found"}'])(
    'with %j says nothing of objects',
    async (body) => {
      const storage = await storageThatGets(body, 404)
      await expect(storage.delete('k')).rejects.toMatchObject({ code: 'storage-failed' })
      await expect(storage.open('k')).rejects.toMatchObject({ code: 'storage-failed' })
    },
  )
})

it('a page that begins with a hundred thousand blanks is told as fast as any, or this would not end', async () => {
  const storage = await storageThatGets(`${' '.repeat(100_000)}page`)
  await expect(storage.delete('k')).rejects.toMatchObject({ code: 'storage-failed' })
})

describe('a range of an object', () => {
  const range = { start: 0, end: 1023 }

  /** A storage whose store ignores ranges, and answers with the whole of that content. */
  const ignoringRanges = (content: string) =>
    storageThatGets(content, 200, { etag: '"e"', 'content-length': String(content.length) })

  it('is empty where the store answers with all of an empty object', async () => {
    const storage = await ignoringRanges('')
    expect(await (await storage.open('k', range)).toArray()).toEqual([])
  })

  it('is refused where the store answers with all of the object', async () => {
    const storage = await ignoringRanges('more than was asked for')
    await expect(storage.open('k', range)).rejects.toThrow("is not the range 'bytes=0-1023'")
  })
})
