import type { EventEmitter } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { ConfigurationError, UploadError } from '../core/errors.js'
import { clientGone, isAborted } from './client-gone.js'
import { type FormHeaders, formBoundary } from './form-boundary.js'
import { readerCounter } from './reader-counter.js'
import { UnreadBody } from './unread-body.js'

/** A request's body and what its headers say of it, whatever framework it came through. */
export interface RequestSource extends FormHeaders {
  /** Bytes of the whole body, where the client said. */
  contentLength: number | undefined
  /** Path and query. */
  url: string | undefined
  body: Readable
  /**
   * Starts the body, also one that was paused, for those who listen to it by now.
   *
   * @throws UploadError `body-consumed` when some of it has gone to somebody else.
   */
  flow: () => void
  /** Calls back when the client is gone before the body has ended; gives what ends the watch. */
  watch: (onGone: (error: UploadError) => void) => () => void
  /** Calls back when the client's connection is closed, also when the body has ended; gives what ends the watch. */
  watchConnection: (onGone: (error: UploadError) => void) => () => void
  /** Says of a body that ended before its time whether the client has left. */
  goneError: () => Promise<UploadError | undefined>
  /** Lets the rest of the body go by, so that the answer can reach a client that is still sending. */
  discard: () => void
  /** Says that the answer is on its way: soon after, the connection of a body that has not ended is. */
  hangUp: () => void
  /** Gives the memory of a chunk back at once, where it is certain that nobody else has it. */
  freeChunk: (chunk: Buffer) => void
}

interface NodeRequest extends Readable {
  headers: Record<string, string | string[] | undefined>
  url?: string
  originalUrl?: string
  complete?: boolean
  rawBody?: unknown
  socket?: EventEmitter
  /** Of HTTP/2. */
  stream?: EventEmitter
}

/**
 * Finds the body in what a handler was given: a Node or Express request, a Koa or Hono context, a Fastify request, or
 * a web `Request` (Next, Remix, Hono's `c.req.raw`).
 *
 * @throws UploadError `body-consumed` naming the likely reader, `client-gone`.
 * @throws ConfigurationError `invalid-value` for what is no request.
 */
export function requestSourceOf(request: unknown): RequestSource {
  let current = request
  // A wrapper within a wrapper is the most there is: Hono's context holds its request, which holds the web one.
  for (let depth = 0; depth < 3; depth++) {
    if (isWebRequest(current)) return fromWebRequest(current)
    if (isNodeRequest(current)) return fromNodeRequest(current, request)
    current =
      (current as { raw?: unknown; req?: unknown } | undefined)?.raw ??
      (current as { req?: unknown } | undefined)?.req
  }
  throw new ConfigurationError(
    'invalid-value',
    'this is not a request: give the request of Node, Express or Fastify, the context of Koa or Hono, or a web Request',
  )
}

function isWebRequest(value: unknown): value is Request {
  const candidate = value as Partial<Request> | null | undefined
  return typeof candidate?.headers?.get === 'function' && typeof candidate.arrayBuffer === 'function'
}

function isNodeRequest(value: unknown): value is NodeRequest {
  const candidate = value as Partial<NodeRequest> | null | undefined
  return typeof candidate?.pipe === 'function' && typeof candidate.headers === 'object'
}

function fromWebRequest(request: Request): RequestSource {
  const headers = {
    contentType: request.headers.get('content-type') ?? undefined,
    contentEncoding: request.headers.get('content-encoding') ?? undefined,
    contentLength: parseLength(request.headers.get('content-length')),
    url: request.url,
  }
  if (request.bodyUsed || request.body?.locked) throw consumed(headers, unknownReader)
  const body =
    request.body === null ? Readable.from([], { objectMode: false }) : Readable.fromWeb(request.body as never)
  return { ...headers, ...cancellable(body, request.signal) }
}

/** A body whose connection is the framework's to end. */
function cancellable(body: Readable, signal?: AbortSignal) {
  return {
    body,
    flow: () => void body.resume(),
    watch: watchOf(body, signal),
    watchConnection: (onGone: (error: UploadError) => void) => {
      const onAbort = () => onGone(clientGone())
      signal?.addEventListener('abort', onAbort)
      return () => signal?.removeEventListener('abort', onAbort)
    },
    goneError: async () => (signal?.aborted ? clientGone() : undefined),
    discard: () => void body.destroy(),
    hangUp: () => undefined,
    freeChunk: () => undefined,
  }
}

function watchOf(body: Readable, signal?: AbortSignal): RequestSource['watch'] {
  body.on('error', () => undefined) // A client that goes when nobody watches has nothing left to break.
  return (onGone) => {
    const onClose = (cause?: unknown) => {
      if (!body.readableEnded) onGone(clientGone(cause))
    }
    const onAbort = () => onClose()
    body.on('error', onClose).on('close', onClose)
    signal?.addEventListener('abort', onAbort)
    if (body.destroyed || signal?.aborted) onClose()
    return () => {
      body.off('error', onClose).off('close', onClose)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}

function fromNodeRequest(request: NodeRequest, given: unknown): RequestSource {
  const headers = {
    contentType: request.headers['content-type'] as string | undefined,
    contentEncoding: request.headers['content-encoding'] as string | undefined,
    contentLength: parseLength(request.headers['content-length'] as string | undefined),
    url: request.originalUrl ?? request.url,
  }
  if (Buffer.isBuffer(request.rawBody)) {
    // Cloud functions read the body ahead and keep it here.
    const body = Readable.from(request.rawBody.length === 0 ? [] : [request.rawBody], { objectMode: false })
    return { ...headers, contentLength: request.rawBody.length, ...cancellable(body) }
  }
  if (request.destroyed && request.complete === false) {
    throw new UploadError('client-gone', 'the client was gone before the upload began')
  }
  const isRead = request.readableDidRead || request.readableEnded || request.destroyed
  if (isRead) throw consumed(headers, likelyReader(given, request))
  if (request.readableEncoding) {
    throw new ConfigurationError(
      'invalid-value',
      'the request has an encoding set; a file is bytes, not text',
    )
  }
  // Somebody listens already. What came before this upload listens too would be lost to it.
  if (request.readableFlowing) request.pause()
  const rest = new UnreadBody(request)
  return {
    ...headers,
    body: request,
    flow: () => {
      if (request.readableDidRead) throw consumed(headers, likelyReader(given, request))
      request.resume()
    },
    watch: watchOf(request),
    watchConnection: (onGone) => {
      const onClose = () => onGone(clientGone())
      // Of HTTP/2 the stream: its `socket` is a proxy, whose `on` is the stream's and whose `off` is the socket's.
      const connection = request.stream ?? request.socket
      connection?.on('close', onClose)
      return () => connection?.off('close', onClose)
    },
    goneError: async () => ((await isAborted(request)) ? clientGone() : undefined),
    discard: () => rest.letBy(),
    hangUp: () => rest.endSoon(),
    freeChunk: isOfNodesServer(request) ? chunkFreer(request) : () => undefined,
  }
}

/**
 * Others make such requests too, or put something into them, out of bytes that are somebody's; what Node's server has
 * read is nobody's yet.
 */
function isOfNodesServer(request: NodeRequest): boolean {
  if (!(request instanceof IncomingMessage && request.socket instanceof Socket)) return false
  const isAsMade = (['emit', 'on', 'push', 'read'] as const).every(
    (name) => request[name] === IncomingMessage.prototype[name],
  )
  return isAsMade && request.socket.bytesRead > 0
}

function chunkFreer(request: NodeRequest): RequestSource['freeChunk'] {
  const countReaders = readerCounter(request)
  return ({ buffer, length }) => {
    if (buffer.byteLength === length && countReaders() === 1) detach(buffer as ArrayBuffer)
  }
}

/** Not before Node 22; there the garbage collector has to do. */
function detach(memory: ArrayBuffer): void {
  memory.transfer?.(0)
}

function parseLength(header: string | null | undefined): number | undefined {
  return header !== null && header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined
}

/** A body that is no form is the client's mistake, whoever has read it. */
function consumed(headers: FormHeaders, culprit: string): UploadError {
  formBoundary(headers)
  return new UploadError(
    'body-consumed',
    `the request's body has already been read, by ${culprit}; call the upload before it, or keep it off this route`,
    { context: { culprit } },
  )
}

const unknownReader = 'a body parser or another upload middleware'

/** Who has read a body, to judge by what it left on the request. */
function likelyReader(given: unknown, body: Readable): string {
  const left = given as { file?: unknown; files?: unknown; body?: unknown }
  const isLeft = (value: unknown) => typeof value === 'object' && value !== null
  if (isLeft(left.file) || isLeft(left.files))
    return 'multer, a FileInterceptor or express-fileupload (request.file is set)'
  if (Buffer.isBuffer(left.body)) return 'a raw body parser such as express.raw() (request.body is a Buffer)'
  if (isLeft(left.body) || typeof left.body === 'string') return 'a body parser (request.body is set)'
  if (body.listenerCount('data') > 0) return "a 'data' listener, such as one that counts or logs bytes"
  return unknownReader
}
