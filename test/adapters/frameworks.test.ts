import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { S3FileError } from '../../src/core/errors.ts'
import { partMemory } from '../../src/storage/part-memory.ts'
import { post, RawRequest } from '../support/http-server.ts'
import { formBody, formType, partHead, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { maxSizeBytes, type Site, sites } from './sites.ts'

const form = (length: number) =>
  formBody({ name: 'file', filename: 'Prüfung.bin', type: 'image/png', content: sampleBytes(length) })

let world: S3World
beforeAll(async () => {
  world = await S3World.start()
})
afterAll(() => world.stop())

describe.each(Object.entries(sites))('%s', (_framework, { start, culprit }) => {
  let site: Site
  let url: string
  beforeAll(async () => {
    site = await start()
    url = `http://127.0.0.1:${site.port}/`
  })
  afterEach(async () => {
    site.failures.length = 0
    await world.clear()
  })
  afterAll(() => site.stop())

  const nothingLeft = async () => {
    expect(await world.keys()).toEqual([])
    expect(await world.openUploads()).toEqual([])
    expect(partMemory.usedBytes).toBe(0)
  }

  it.each([1000, 11_000_000])('stores a file of %d bytes as it came', async (length) => {
    const answer = await post(url, form(length), formType)
    expect(answer).toEqual({
      status: 200,
      // What its bytes are, not what it claims.
      body: { name: 'Prüfung.bin', size: length, contentType: 'application/octet-stream' },
    })
    const keys = await world.keys()
    expect(keys).toHaveLength(1)
    const chunks: Buffer[] = []
    for await (const chunk of await world.storage.open(world.prefix + keys[0])) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(sampleBytes(length))).toBe(true)
  })

  it('answers a file over the limit with 413 while it comes, and takes the next one', async () => {
    const answer = await post(url, form(maxSizeBytes + 10_000_000), formType)
    expect(answer).toMatchObject({ status: 413, body: { code: 'file-too-large' } })
    expect(answer.body.message).toContain('is larger than the limit')
    await nothingLeft()
    expect((await post(url, form(10), formType)).status).toBe(200)
  })

  it('leaves nothing of a client that goes in the middle', async () => {
    const headers = { 'content-type': formType, 'content-length': 11_000_000 }
    const client = await RawRequest.open(site.port, headers)
    await client.send(partHead({ name: 'file', filename: 'x' }))
    await client.send(sampleBytes(8_000_000))
    // A part is on its way, and more to come.
    await vi.waitFor(() => expect(world.proxy.openUploads.size).toBe(1), { timeout: 20_000 })
    client.socket.destroy()
    await vi.waitFor(() => expect(site.failures).toHaveLength(1), { timeout: 20_000 })
    expect(site.failures[0]).toMatchObject({ code: 'client-gone' })
    await nothingLeft()
  })

  it('answers a form without a file with 400', async () => {
    const answer = await post(url, formBody({ name: 'title', content: 'x' }), formType)
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'no-file', message: expect.stringContaining('the form has no file') },
    })
  })

  it.each([
    ['JSON', '{"file":"x"}', 'application/json'],
    ['text', 'x', 'text/plain'],
  ])('answers %s instead of a form with 400, also where a body parser has read it', async (_, body, type) => {
    expect(await post(url, body, type)).toMatchObject({ status: 400, body: { code: 'not-multipart' } })
  })

  it('answers for a store that refuses with 502, and keeps the reason to itself', async () => {
    world.proxy.inject({ on: 'PutObject', kind: 'accessDenied', times: 100 })
    const answer = await post(url, form(10), formType)
    expect(answer).toMatchObject({ status: 502, body: { code: 'storage-refused' } })
    expect(JSON.stringify(answer.body)).not.toMatch(/bucket|AccessDenied|PutObject/)
    expect((site.failures[0] as S3FileError).message).toMatch(/bucket.*AccessDenied/)
    await nothingLeft()
  })

  it('says with a 503 of the store when to try again', async () => {
    world.proxy.inject({ on: 'PutObject', kind: 'slowDown', times: 100 })
    const answer = await fetch(url, {
      method: 'POST',
      body: form(10) as never,
      headers: { 'content-type': formType },
    })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10'])
    expect(await answer.json()).toMatchObject({ code: 'storage-busy' })
  })

  it('answers with 500 when the body was read before, and tells the application by whom', async () => {
    const answer = await post(`${url}consumed`, form(10), formType)
    expect(answer).toMatchObject({ status: 500, body: { code: 'body-consumed' } })
    expect(answer.body.message).not.toContain(culprit)
    expect((site.failures[0] as S3FileError).message).toContain(culprit)
  })
})
