import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { S3World } from '../support/s3-world.ts'

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
    const inline = await fetch(
      await file.url({ disposition: 'inline', downloadName: 'other.bin', contentType: 'image/png' }),
    )
    expect(inline.headers.get('content-disposition')).toBe('inline; filename="other.bin"')
    expect(inline.headers.get('content-type')).toBe('image/png')
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
