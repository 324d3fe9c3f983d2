import { EventEmitter } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, it, vi } from 'vitest'
import { requestSourceOf } from '../../src/upload/request-source.ts'
import { errorOf } from '../support/error-of.ts'

const headers = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': '4' }

function nodeRequest(more: object = {}): Readable {
  return Object.assign(Readable.from([Buffer.from('body')], { objectMode: false }), {
    headers,
    url: '/files?a=1',
    ...more,
  })
}

function webRequest(init: RequestInit = {}): Request {
  return new Request('http://host/files?a=1', { method: 'POST', headers, body: 'body', ...init })
}

describe('a request', () => {
  it.each<[string, unknown]>([
    ['of Node or Express', nodeRequest()],
    ['of Fastify', { raw: nodeRequest(), headers, query: {} }],
    ['in the context of Koa', { req: nodeRequest(), request: {}, headers }],
    ['of the web', webRequest()],
    ['of Hono', { raw: webRequest(), header: () => '' }],
    ['in the context of Hono', { req: { raw: webRequest(), header: () => '' }, header: () => undefined }],
    ['in the context of Hono on Node', { req: { raw: nodeRequest() } }],
  ])('%s is known by its shape', async (_kind, request) => {
    const source = requestSourceOf(request)
    expect(source).toMatchObject({
      contentType: 'multipart/form-data; boundary=x',
      contentLength: 4,
      url: expect.stringMatching(/\/files\?a=1$/),
    })
    expect(await text(source.body)).toBe('body')
  })

  it.each([
    undefined,
    null,
    'body',
    7,
    {},
    { req: {} },
    { raw: { raw: { raw: nodeRequest() } } },
    Readable.from([]),
    { headers },
    headers,
  ])('is not %o', (value) => {
    expect(errorOf(() => requestSourceOf(value))).toMatchObject({
      name: 'ConfigurationError',
      code: 'invalid-value',
      message: expect.stringContaining('this is not a request'),
    })
  })

  it('whose encoding is set is refused: its bytes would be lost', () => {
    const request = Object.assign(Readable.from([Buffer.from('x')], { objectMode: false }), { headers: {} })
    request.setEncoding('utf8')
    expect(() => requestSourceOf(request)).toThrow(/encoding/)
  })

  it('keeps the URL it came with when a router has shortened it', () => {
    expect(requestSourceOf(nodeRequest({ originalUrl: '/api/files?a=1' })).url).toBe('/api/files?a=1')
  })

  it.each([undefined, '', '-1', '1e3', '12abc', '9'.repeat(16)])(
    'with the Content-Length %j has no length',
    (length) => {
      const request = nodeRequest({ headers: { ...headers, 'content-length': length } })
      expect(requestSourceOf(request).contentLength).toBeUndefined()
    },
  )

  it('of the web may come without a body', async () => {
    const source = requestSourceOf(new Request('http://host/', { method: 'POST' }))
    expect(source.contentType).toBeUndefined()
    expect(await text(source.body)).toBe('')
  })

  it('of the web says when its client is gone', () => {
    const abort = new AbortController()
    const onGone = vi.fn()
    const unwatch = requestSourceOf(webRequest({ signal: abort.signal })).watch(onGone)
    expect(onGone).not.toHaveBeenCalled()
    abort.abort()
    expect(onGone.mock.calls).toMatchObject([[{ code: 'client-gone', statusCode: 499 }]])
    unwatch()
  })

  it('of Node says when its client is gone, also one that went before it was watched', async () => {
    const stream = Object.assign(new PassThrough(), { headers })
    const source = requestSourceOf(stream)
    const early = vi.fn()
    const unwatched = vi.fn()
    source.watch(early)
    source.watch(unwatched)()
    stream.destroy(new Error('reset'))
    await new Promise((resolve) => stream.once('close', resolve))
    expect(early.mock.calls[0]).toMatchObject([{ code: 'client-gone', cause: { message: 'reset' } }])
    expect(unwatched).not.toHaveBeenCalled()
    const late = vi.fn()
    source.watch(late)
    expect(late.mock.calls).toMatchObject([[{ code: 'client-gone' }]])
  })

  it('whose body has ended is closed without its client being gone', async () => {
    const request = nodeRequest()
    const onGone = vi.fn()
    const source = requestSourceOf(request)
    source.watch(onGone)
    await text(request)
    await new Promise((resolve) => setImmediate(resolve))
    expect(request.destroyed).toBe(true)
    expect(onGone).not.toHaveBeenCalled()
  })

  it.each(['the body', ''])('of a cloud function has its body %j in rawBody', async (body) => {
    const request = nodeRequest({ rawBody: Buffer.from(body), body: {} })
    await text(request)
    const source = requestSourceOf(request)
    expect(source.contentLength).toBe(body.length)
    expect(await text(source.body)).toBe(body)
  })

  it('lets the rest of its body go by when told to, and stays open for the answer', () => {
    const stream = new PassThrough()
    requestSourceOf(Object.assign(stream, { headers })).discard()
    expect(stream.readableFlowing).toBe(true)
    expect(stream.destroyed).toBe(false)
  })
})

describe('a body that has already been read', () => {
  it.each([
    ['multer', { file: { fieldname: 'file' } }, 'multer, a FileInterceptor or express-fileupload'],
    ['multer for many files', { files: [] }, 'multer, a FileInterceptor or express-fileupload'],
    ['express.raw()', { body: Buffer.from('x') }, 'a raw body parser such as express.raw()'],
    ['express.json()', { body: { a: 1 } }, 'a body parser (request.body is set)'],
    ['express.text()', { body: 'text' }, 'a body parser (request.body is set)'],
    ['nobody known', {}, 'a body parser or another upload middleware'],
    ["Fastify's own reader", { file: () => undefined }, 'a body parser or another upload middleware'],
  ])('by %s is refused with the name of the likely reader', async (_reader, left, culprit) => {
    const request = nodeRequest(left)
    await text(request)
    const error = errorOf(() => requestSourceOf(request))
    expect(error).toMatchObject({ code: 'body-consumed', statusCode: 500 })
    expect(error.message).toContain(`has already been read, by ${culprit}`)
    expect(error.message).toContain('call the upload before it, or keep it off this route')
  })

  it.each([
    ['JSON', 'application/json', { body: { a: 1 } }],
    ['text', 'text/plain', { body: 'text' }],
    ['bytes of no type', undefined, { body: Buffer.from('x') }],
  ])("and is %s is the client's mistake, whoever has read it", async (_what, type, left) => {
    const request = nodeRequest({ ...left, headers: { 'content-type': type } })
    await text(request)
    expect(errorOf(() => requestSourceOf(request))).toMatchObject({ code: 'not-multipart', statusCode: 400 })
  })

  it("of the web and is JSON is the client's mistake", async () => {
    const request = webRequest({ headers: { 'content-type': 'application/json' } })
    await request.text()
    expect(errorOf(() => requestSourceOf(request)).code).toBe('not-multipart')
  })

  it('in part is refused too', async () => {
    const request = Object.assign(new PassThrough(), { headers })
    request.write('abc')
    request.read()
    expect(errorOf(() => requestSourceOf(request)).code).toBe('body-consumed')
  })

  it('is looked for on what the handler was given, not on what that wraps', async () => {
    const raw = nodeRequest()
    await text(raw)
    expect(errorOf(() => requestSourceOf({ raw, body: { a: 1 } })).message).toContain('request.body is set')
  })

  it.each<[string, (request: Request) => unknown]>([
    ['has been read', (request) => request.text()],
    ['is being read', (request) => request.body?.getReader()],
  ])('of the web is refused when it %s', async (_when, read) => {
    const request = webRequest()
    await read(request)
    expect(errorOf(() => requestSourceOf(request)).code).toBe('body-consumed')
  })
})

it('tells a client that is gone from a body that was read', () => {
  const gone = nodeRequest({ complete: false })
  gone.destroy()
  expect(errorOf(() => requestSourceOf(gone)).code).toBe('client-gone')
})

it('the connection of an HTTP/2 request is watched at its stream, and only as long as it is asked for', () => {
  // As Http2ServerRequest has it: the `on` of its socket is the stream's, the `off` is not.
  const stream = new EventEmitter()
  const socket = Object.assign(new EventEmitter(), { on: stream.on.bind(stream) })
  const unwatch = requestSourceOf(nodeRequest({ socket, stream })).watchConnection(() => undefined)
  expect(stream.listenerCount('close')).toBe(1)
  unwatch()
  expect(stream.listenerCount('close')).toBe(0)
})
