import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import type { ObjectStat } from '../../src/core/file-storage.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import { S3Bucket } from '../../src/storage/s3-bucket.ts'
import { copyInParts } from '../../src/storage/s3-copy.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { heads, png } from '../support/sample-heads.ts'

let world: S3World
let file: S3File
beforeAll(async () => {
  world = await S3World.start()
  file = await uploadFromStream(Buffer.from('0123456789'), {
    name: 'Prüfung "1".txt',
    contentType: 'text/plain',
  })
})
afterAll(() => world.stop())

describe('a presigned URL', () => {
  it('downloads the file', async () => {
    const response = await fetch(await file.url())
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('0123456789')
  })

  it('answers a range', async () => {
    const response = await fetch(await file.url(), { headers: { range: 'bytes=2-4' } })
    expect([response.status, await response.text()]).toEqual([206, '234'])
  })

  it('makes the browser save the file under its own name, whatever it is', async ({ skip }) => {
    skip(!S3World.abilities.overridesHeaders, 'this server does not override headers')
    const { headers } = await fetch(await file.url())
    expect(headers.get('content-disposition')).toBe(
      `attachment; filename="Pr_fung _1_.txt"; filename*=UTF-8''Pr%C3%BCfung%20%221%22.txt`,
    )
    expect(headers.get('content-type')).toBe('text/plain')
    const inline = await fetch(await file.url({ disposition: 'inline', downloadName: 'other.bin' }))
    expect(inline.headers.get('content-disposition')).toBe('inline; filename="other.bin"')
  })

  it.each([
    ['an image', { contentType: 'image/png' }, 'inline'],
    [
      'an image that is to be downloaded',
      { contentType: 'image/png', disposition: 'attachment' },
      'attachment',
    ],
    ['a page', { contentType: 'text/html' }, 'attachment'],
    ['a page that is to be shown', { contentType: 'text/html', disposition: 'inline' }, 'attachment'],
    ['a drawing that is to be shown', { contentType: 'image/svg+xml', disposition: 'inline' }, 'attachment'],
  ] as const)('answers %s as its type allows', async (_what, options, disposition) => {
    const url = new URL(await file.url({ ...options, downloadName: 'a' }))
    expect(url.searchParams.get('response-content-disposition')).toBe(`${disposition}; filename="a"`)
    expect(url.searchParams.get('response-content-type')).toBe(options.contentType)
    const { headers } = await fetch(url)
    if (!S3World.abilities.overridesHeaders) return
    expect(headers.get('content-disposition')).toBe(`${disposition}; filename="a"`)
    expect(headers.get('content-type')).toBe(options.contentType)
  })

  it('of an upload, and its object, say what the bytes are', async () => {
    for (const [head, contentType, disposition] of [
      [png, 'image/png', 'inline'],
      [Buffer.from('<svg onload=alert(1)>'), 'image/svg+xml', 'attachment'],
      [Buffer.from('<script>alert(1)</script>'), 'text/html', 'attachment'],
    ] as const) {
      const uploaded = await uploadFromStream(head, { name: 'a.png', contentType: 'image/png' })
      expect(uploaded.contentType).toBe(contentType)
      const url = new URL(await uploaded.url({ disposition: 'inline' }))
      expect(url.searchParams.get('response-content-disposition')).toBe(`${disposition}; filename="a.png"`)
      expect((await world.storage.stat(uploaded.key))?.contentType).toBe(contentType)
      const put = world.proxy.requests.findLast(({ operation }) => operation === 'PutObject')
      expect(put?.headers['content-disposition']).toBe(`${disposition}; filename="a.png"`)
    }
  })

  it('is refused when a character of it is changed', async ({ skip }) => {
    skip(S3World.server.kind === 'embedded', 'this server does not check signatures')
    const url = new URL(await file.url())
    url.searchParams.set('response-content-type', 'text/html')
    expect((await fetch(url)).status).toBe(403)
  })

  it('is in a list of entities, nested ones too, ready for JSON', async () => {
    const owner = { name: 'Ada', avatar: file, documents: [{ file }, { file: null }] }
    const json = JSON.parse(JSON.stringify(await withUrls(owner)))
    expect(json).toMatchObject({
      name: 'Ada',
      avatar: { name: file.name, size: 10, contentType: 'text/plain' },
      documents: [{ file: { url: json.avatar.url } }, { file: null }],
    })
    expect(await (await fetch(json.avatar.url)).text()).toBe('0123456789')
    const life = Date.parse(json.avatar.urlExpiresAt) - Date.now()
    expect(life).toBeGreaterThan(590_000)
    expect(life).toBeLessThanOrEqual(900_000)
  })
})

describe('a file', () => {
  it('streams a range, both ends included', async () => {
    const chunks: Buffer[] = []
    for await (const chunk of await file.stream({ start: 3, end: 5 })) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe('345')
  })

  it('may be read for longer than a request may take', async () => {
    const content = sampleBytes(8 * MiB)
    const large = await uploadFromStream(content, { name: 'large.bin' })
    configureStorages({ default: world.newStorage({ requestTimeoutSeconds: 1 }) })
    let length = 0
    for await (const chunk of await large.stream()) {
      if (length === 0) await sleep(1500)
      length += (chunk as Buffer).length
    }
    expect(length).toBe(content.length)
    configureStorages({ default: world.storage })
  })

  it.each([{ start: -1 }, { start: 5, end: 2 }, { begin: 1 }])('refuses the range %j', async (range) => {
    await expect(file.stream(range as never)).rejects.toThrow(/S3File.stream/)
  })

  it('larger than one copy may be is copied in parts, with all it has', async () => {
    const film = heads['video/mp4'] as Buffer
    const content = Buffer.concat([film, sampleBytes(12 * MiB)])
    const objectParams = { CacheControl: 'private', Metadata: { origin: 'test' } }
    const source = await uploadFromStream(content, {
      name: 'large.bin',
      objectParams,
    })
    const bucket = new S3Bucket(world.client, S3World.server.bucket, {
      requestTimeoutSeconds: 30,
      unsignedPayload: 'tls',
      ownsClient: false,
    })
    const to = `${world.prefix}copy.bin`
    await copyInParts(bucket, source.key, to, (await world.storage.stat(source.key)) as ObjectStat, 5 * MiB)
    expect((await new S3File({ key: to }).bytes()).equals(content)).toBe(true)
    const response = await fetch((await world.storage.url(to)).url)
    expect(response.headers.get('cache-control')).toBe('private')
    expect(response.headers.get('x-amz-meta-origin')).toBe('test')
    expect((await world.storage.stat(to))?.contentType).toBe('video/mp4')
    expect(await world.openUploads()).toEqual([])
  })

  it('says whether its object is there, and discards it', async () => {
    const other = await uploadFromStream(Buffer.from('x'), { name: 'x.txt' })
    expect(await other.exists()).toBe(true)
    await other.discard()
    expect(await other.exists()).toBe(false)
    await expect(other.bytes()).rejects.toMatchObject({ code: 'object-not-found', statusCode: 404 })
  })

  it('can be named without an upload', async () => {
    expect((await new S3File({ key: file.key }).bytes()).toString()).toBe('0123456789')
  })
})
