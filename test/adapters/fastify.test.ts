import type { AddressInfo } from 'node:net'
import fastifyMultipart from '@fastify/multipart'
import fastify, { type FastifyInstance, type FastifyPluginCallback } from 'fastify'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { s3FileErrorHandler, s3FilePlugin } from '../../src/fastify.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { post } from '../support/http-server.ts'
import { formBody, formType } from '../support/multipart.ts'

let app: FastifyInstance
let storage: MemoryStorage
/** What the application has logged. */
const log: string[] = []
beforeEach(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
  log.length = 0
  const stream = { write: (line: string) => log.push(line) }
  app = fastify({ forceCloseConnections: true, logger: { level: 'error', stream } })
})
afterEach(() => app.close())

const file = { name: 'file', filename: 'a.txt', type: 'text/plain', content: 'hello' }
const json = { name: 'a.txt', size: 5, contentType: 'text/plain' }

const listen = async () => {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}
const send = async (path: string, ...parts: Parameters<typeof formBody>) =>
  post((await listen()) + path, formBody(...parts), formType)

describe('the plugin', () => {
  it('gives requests s3File() and s3Form(), also in scopes within its own, and lets large bodies through', async () => {
    app.register(s3FilePlugin)
    app.post('/file', (request) => request.s3File({ field: 'file' }))
    app.register(async (scope) => {
      scope.post('/form', (request) => request.s3Form({ limits: { files: 2 } }))
    })
    const large = { ...file, content: 'a'.repeat(3_000_000) } // Fastify's own limit is 1 MiB.
    expect(await send('/file', large)).toEqual({ status: 200, body: { ...json, size: 3_000_000 } })
    expect(await send('/form', file, file, { name: 'title', content: 'T' })).toEqual({
      status: 200,
      body: { files: { file: [json, json] }, fields: { title: ['T'] } },
    })
  })

  it('may be registered twice', async () => {
    await app.register(s3FilePlugin)
    app.register(async (scope) => {
      await scope.register(s3FilePlugin)
      scope.post('/', (request) => request.s3File())
    })
    expect((await send('/', file)).status).toBe(200)
  })

  it.each<[string, FastifyPluginCallback[]]>([
    ['@fastify/multipart in a scope of its own', [s3FilePlugin]],
    ['@fastify/multipart in the scope around', []],
  ])('works beside %s', async (_, own) => {
    const around = own.length === 0
    if (around) await app.register(fastifyMultipart)
    app.register(async (scope) => {
      await scope.register(s3FilePlugin)
      scope.post('/ours', (request) => request.s3File())
    })
    app.register(async (scope) => {
      if (!around) await scope.register(fastifyMultipart)
      scope.post('/theirs', async (request) => {
        const part = await request.file()
        return { filename: part?.filename, text: (await part?.toBuffer())?.toString() }
      })
    })
    expect(await send('/ours', file)).toEqual({ status: 200, body: json })
    expect(await send('/theirs', file)).toEqual({ status: 200, body: { filename: 'a.txt', text: 'hello' } })
    expect(storage.objects.size).toBe(1)
  })

  it("answers a client's mistake with its message", async () => {
    app.register(s3FilePlugin)
    app.post('/', (request) => request.s3File({ maxSizeBytes: 1 }))
    expect(await send('/', file)).toEqual({
      status: 413,
      body: {
        statusCode: 413,
        code: 'file-too-large',
        error: 'Payload Too Large',
        message: expect.stringContaining('larger than the limit of 1 bytes'),
      },
    })
  })

  it.each([
    ['storage-refused', 502, 'Bad Gateway'],
    ['storage-busy', 503, 'Service Unavailable'],
    ['key-taken', 409, 'Conflict'],
  ] as const)('keeps from clients why it answers %s, and logs it', async (code, statusCode, message) => {
    storage.put = () => Promise.reject(new StorageError(code, "in bucket 'acme'"))
    app.register(s3FilePlugin)
    app.post('/', (request) => request.s3File())
    expect(await send('/', file)).toEqual({
      status: statusCode,
      body: { statusCode, code, error: message, message },
    })
    if (statusCode >= 500) expect(log.join()).toContain("in bucket 'acme'")
  })
})

describe('the error handler', () => {
  it('keeps from clients where a file is, in errors from anywhere', async () => {
    app.setErrorHandler(s3FileErrorHandler)
    app.get('/lost', () => new S3File({ key: 'secret/place' }).bytes())
    app.get('/other', () => {
      throw Object.assign(new Error('I am a teapot'), { statusCode: 418 })
    })
    const url = await listen()
    expect(await (await fetch(`${url}/lost`)).json()).toEqual({
      statusCode: 404,
      code: 'object-not-found',
      error: 'Not Found',
      message: 'Not Found',
    })
    expect(await (await fetch(`${url}/other`)).json()).toMatchObject({
      statusCode: 418,
      message: 'I am a teapot',
    })
  })
})
