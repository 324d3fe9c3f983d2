import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import fastify from 'fastify'
import Koa from 'koa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isS3FileError, type S3FileError } from '../../src/core/errors.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { post, startServer } from '../support/http-server.ts'
import { formBody, formType, sampleBytes } from '../support/multipart.ts'
import { png } from '../support/sample-heads.ts'

let storage: MemoryStorage
beforeAll(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
})

interface Site {
  url: string
  stop: () => Promise<unknown>
}

async function listen(listener: RequestListener): Promise<Site> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stop: () => new Promise((resolve) => server.close(resolve)),
  }
}

const failureOf = ({ statusCode, code, message }: S3FileError) => ({
  status: statusCode,
  body: { code, message },
})

/** The same route in each framework: the file's JSON, or the error's status, code and message. */
const sites: Record<string, () => Promise<Site>> = {
  node: async () => startServer((request) => uploadFromRequest(request, { maxSizeBytes: 100_000 })),
  express: async () => {
    const app = express()
    app.use(express.json(), express.urlencoded())
    app.post('/', async (request, response) => {
      try {
        response.json(await uploadFromRequest(request, { maxSizeBytes: 100_000 }))
      } catch (error) {
        const { status, body } = failureOf(error as S3FileError)
        response.status(status).json(body)
      }
    })
    return listen(app)
  },
  koa: async () => {
    const app = new Koa()
    app.use(async (context) => {
      try {
        context.body = (await uploadFromRequest(context, { maxSizeBytes: 100_000 })).toJSON()
      } catch (error) {
        Object.assign(context, failureOf(error as S3FileError))
      }
    })
    return listen(app.callback())
  },
  fastify: async () => {
    const app = fastify()
    app.addContentTypeParser('multipart/form-data', (_request, _payload, done) => done(null))
    app.post('/', async (request, reply) => {
      try {
        return await uploadFromRequest(request, { maxSizeBytes: 100_000 })
      } catch (error) {
        const { status, body } = failureOf(error as S3FileError)
        return reply.status(status).send(body)
      }
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/`, stop: () => app.close() }
  },
}

describe.each(Object.keys(sites))('%s', (framework) => {
  let site: Site
  beforeAll(async () => {
    site = await (sites[framework] as () => Promise<Site>)()
  })
  afterAll(() => site.stop())

  it('uploads what its handler was given', async () => {
    const content = Buffer.concat([png, sampleBytes(100_000 - png.length)])
    const body = formBody({ name: 'file', filename: 'Prüfung.png', type: 'image/png', content })
    const answer = await post(site.url, body, formType)
    expect(answer).toEqual({
      status: 200,
      body: { name: 'Prüfung.png', size: 100_000, contentType: 'image/png' },
    })
    expect([...storage.objects.values()].at(-1)?.bytes.equals(content)).toBe(true)
  })

  it('answers a file over the limit with 413, and takes the next one', async () => {
    const tooLarge = formBody({ name: 'file', filename: 'x.bin', content: sampleBytes(5_000_000) })
    expect(await post(site.url, tooLarge, formType)).toMatchObject({
      status: 413,
      body: { code: 'file-too-large' },
    })
    const fine = formBody({ name: 'file', filename: 'x.bin', content: 'x' })
    expect((await post(site.url, fine, formType)).status).toBe(200)
  })

  it('answers a body that is no form with 400', async () => {
    const { status, body } = await post(site.url, '{}', 'application/octet-stream')
    expect([400, 415]).toContain(status)
    if (framework !== 'fastify') expect(body.code).toBe('not-multipart')
  })
})

describe('a web Request', () => {
  const webRequest = (body: BodyInit | null, headers: Record<string, string> = {}, signal?: AbortSignal) =>
    new Request('http://localhost/upload?__prefix=a/b', {
      method: 'POST',
      body,
      headers,
      duplex: 'half',
      ...(signal === undefined ? {} : { signal }),
    } as RequestInit)

  it('uploads a FormData body, and a Hono context is taken for its request', async () => {
    const form = new FormData()
    form.set('file', new File(['from the web'], 'web.txt', { type: 'text/plain' }))
    const file = await uploadFromRequest({ req: { raw: webRequest(form) } })
    expect(file).toMatchObject({ name: 'web.txt', size: 12, contentType: 'text/plain' })
    expect((await file.bytes()).toString()).toBe('from the web')
  })

  it('takes the prefix from the query of its URL', async () => {
    const form = new FormData()
    form.set('file', new File(['x'], 'x.txt'))
    const options = { prefixQueryParam: { name: '__prefix', allow: ['a/b'] }, keyPrefix: 'root' }
    expect((await uploadFromRequest(webRequest(form), options)).key).toMatch(
      /^root\/a\/b\/[\w-]{22}\/x\.txt$/,
    )
  })

  it.each([
    ['no body', null, 'truncated-body'],
    [
      'a body that ends early',
      formBody({ name: 'file', filename: 'x', content: 'x' }).subarray(0, 100),
      'truncated-body',
    ],
  ])('with %s is refused', async (_, body, code) => {
    const uploading = uploadFromRequest(webRequest(body as never, { 'content-type': formType }))
    await expect(uploading).rejects.toSatisfy((error) => isS3FileError(error, code as never))
  })

  it('whose body is cut and ended as if it were whole is found out by its length', async () => {
    const before = storage.objects.size
    const form = formBody({ name: 'file', filename: 'x.txt', content: 'x' })
    const headers = { 'content-type': formType, 'content-length': '1000000' }
    const uploading = uploadFromRequest(webRequest(form as never, headers))
    await expect(uploading).rejects.toSatisfy((error) => isS3FileError(error, 'truncated-body'))
    expect(storage.objects.size).toBe(before)
  })

  it('that was read already says so', async () => {
    const request = webRequest('text')
    await request.text()
    await expect(uploadFromRequest(request)).rejects.toThrow(/body has already been read/)
  })

  it('whose client goes ends the upload', async () => {
    const gone = new AbortController()
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(formBody({ name: 'file', filename: 'x', content: 'x' }).subarray(0, 120))
        setTimeout(() => gone.abort(), 20)
      },
    })
    const uploading = uploadFromRequest(webRequest(body, { 'content-type': formType }, gone.signal))
    await expect(uploading).rejects.toSatisfy((error) => isS3FileError(error, 'client-gone'))
  })
})

describe('a body that was read before', () => {
  it('is said to have been read by the body parser that did', async () => {
    const app = express()
    app.use(express.raw({ type: '*/*', limit: '1mb' }))
    let file: S3File | undefined
    let failure: unknown
    app.post('/', async (request, response) => {
      try {
        file = await uploadFromRequest(request)
      } catch (error) {
        failure = error
      }
      response.json({})
    })
    const site = await listen(app)
    await post(site.url, formBody({ name: 'file', filename: 'a', content: 'x' }), formType)
    await site.stop()
    expect(file).toBeUndefined()
    expect(failure).toMatchObject({ code: 'body-consumed', statusCode: 500 })
    expect((failure as Error).message).toContain('express.raw()')
  })

  it('is taken from rawBody, where cloud functions leave it', async () => {
    const server = await startServer(async (request) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      return uploadFromRequest(Object.assign(request, { rawBody: Buffer.concat(chunks) }))
    })
    const answer = await post(
      server.url,
      formBody({ name: 'file', filename: 'cloud.txt', content: 'x' }),
      formType,
    )
    await server.stop()
    expect(answer).toMatchObject({ status: 200, body: { name: 'cloud.txt' } })
  })
})
