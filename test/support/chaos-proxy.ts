import { readFileSync } from 'node:fs'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'

/** S3's operations as far as they are told apart here. */
export type Operation =
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'PutObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'CopyObject'
  | 'UploadPartCopy'
  | 'ListObjectsV2'
  | 'ListMultipartUploads'
  | 'Other'

export type FaultKind =
  | 'internalError'
  | 'slowDown'
  | 'accessDenied'
  | 'resetMidBody'
  | 'stall'
  | 'truncatedResponse'
  | 'lostResponse'
  | 'wrongEtag'
  | 'noEtag'
  /** A page of HTML with that status, from what stands before the store: nothing reaches it. */
  | 'page'
  | 'pageWithEtag'
  | 'notFoundPage'
  | 'json'
  /** The same, in place of the store's own answer: it has done what it was asked. */
  | 'pageInstead'
  /** An error in S3's words. */
  | 'notImplemented'
  | 'notAllowed'
  | 'missingContentMd5'
  | 'corruptBody'

export interface Fault {
  on: Operation
  kind: FaultKind
  /** How many requests of the operation pass before it. @default 0 */
  after?: number
  /** How many it hits. @default 1 */
  times?: number
}

export interface SeenRequest {
  operation: Operation
  key: string
  uploadId: string | undefined
  headers: IncomingMessage['headers']
  bodyBytes: number
}

/** A proxy in front of an S3 server that sees all requests and spoils those it is told to. */
export class ChaosProxy {
  readonly requests: SeenRequest[] = []
  /** Keys of multipart uploads that were created and neither completed nor aborted, by upload id. */
  readonly openUploads = new Map<string, string>()
  readonly #server: Server
  readonly #target: URL
  readonly #ca: Buffer | undefined
  #faults: Required<Fault>[] = []
  /** Milliseconds to wait before each forwarded request. */
  delayMs = 0

  private constructor(target: string, caFile: string | undefined) {
    this.#target = new URL(target)
    this.#ca = caFile === undefined ? undefined : readFileSync(caFile)
    this.#server = createServer((request, response) => this.#handle(request, response))
  }

  static async start(target: string, caFile?: string): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(target, caFile)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  inject(...faults: Fault[]): void {
    this.#faults.push(...faults.map((fault) => ({ after: 0, times: 1, ...fault })))
  }

  /** Forgets faults and requests. */
  reset(): void {
    this.#faults = []
    this.requests.length = 0
    this.delayMs = 0
  }

  countOf(operation: Operation): number {
    return this.requests.filter((request) => request.operation === operation).length
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url as string, 'http://s3')
    const operation = operationOf(request, searchParams)
    const seen: SeenRequest = {
      operation,
      key: decodeURIComponent(pathname.split('/').slice(2).join('/')),
      uploadId: searchParams.get('uploadId') ?? undefined,
      headers: request.headers,
      bodyBytes: 0,
    }
    this.requests.push(seen)
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    const kind = this.#takeFault(operation)
    const injected = kind === undefined ? undefined : injectedErrors[kind]
    const foreign = kind === undefined ? undefined : foreignAnswers[kind]
    if (injected !== undefined) {
      answerError(request, response, injected)
    } else if (foreign !== undefined) {
      request.resume().on('end', () => answerForeign(response, foreign))
    } else if (kind === 'resetMidBody') {
      request.once('data', () => request.socket.destroy())
      if (request.headers['content-length'] === '0') request.socket.destroy()
    } else if (kind === 'stall') {
      request.resume()
    } else {
      setTimeout(() => this.#forward(request, response, seen, kind), this.delayMs)
    }
  }

  #forward(
    request: IncomingMessage,
    response: ServerResponse,
    seen: SeenRequest,
    kind: FaultKind | undefined,
  ): void {
    const send = this.#target.protocol === 'https:' ? httpsRequest : httpRequest
    const upstream = send({
      host: this.#target.hostname,
      port: this.#target.port,
      method: request.method,
      path: request.url,
      headers: request.headers,
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
    })
    upstream.on('error', () => request.socket.destroy())
    upstream.on('response', (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const body = Buffer.concat(chunks)
        if ((answer.statusCode ?? 500) < 300) this.#track(seen, body.toString())
        if (kind === 'lostResponse') {
          request.socket.destroy()
          return
        }
        const headers = { ...answer.headers }
        if (kind === 'pageInstead') {
          answerForeign(response, page)
          return
        }
        if (kind === 'noEtag') delete headers.etag
        if (kind === 'wrongEtag') headers.etag = '"00000000000000000000000000000000"'
        if (kind === 'truncatedResponse') {
          headers['content-length'] = String(body.length + 1000)
          response.writeHead(answer.statusCode as number, headers)
          response.write(body, () => request.socket.destroy())
          return
        }
        response.writeHead(answer.statusCode as number, headers)
        response.end(body)
      })
      answer.on('error', () => request.socket.destroy())
    })
    request.on('close', () => {
      if (!request.complete) upstream.destroy()
    })
    let isFirst = true
    request.on('data', (chunk: Buffer) => {
      seen.bodyBytes += chunk.length
      if (kind === 'corruptBody' && isFirst) chunk[0] = (chunk[0] as number) ^ 0xff
      isFirst = false
      if (!upstream.write(chunk)) {
        request.pause()
        upstream.once('drain', () => request.resume())
      }
    })
    request.on('end', () => upstream.end())
    if (request.readableEnded) upstream.end()
  }

  #track({ operation, key, uploadId }: SeenRequest, answer: string): void {
    const created = /<UploadId>([^<]+)<\/UploadId>/.exec(answer)?.[1]
    if (operation === 'CreateMultipartUpload' && created !== undefined) this.openUploads.set(created, key)
    const isEnd = operation === 'CompleteMultipartUpload' || operation === 'AbortMultipartUpload'
    if (isEnd && uploadId !== undefined && !answer.includes('<Error>')) this.openUploads.delete(uploadId)
  }

  #takeFault(operation: Operation): FaultKind | undefined {
    for (const fault of this.#faults) {
      if (fault.on !== operation || fault.times === 0) continue
      if (fault.after > 0) {
        fault.after--
        continue
      }
      fault.times--
      return fault.kind
    }
    return undefined
  }
}

type ForeignAnswer = [status: number, headers: Record<string, string>, body: string]

const html = { 'content-type': 'text/html' }
const page: ForeignAnswer = [200, html, '<!DOCTYPE html><html><title>We are back soon</title></html>']
const foreignAnswers: { [Kind in FaultKind]?: ForeignAnswer } = {
  page,
  pageWithEtag: [200, { ...html, etag: '"5f3-62a1"' }, page[2]],
  notFoundPage: [404, html, '<html><body>404 Not Found</body></html>'],
  json: [200, { 'content-type': 'application/json', etag: 'W/"b-x"' }, '{"ok":true}'],
}

function answerForeign(response: ServerResponse, [status, headers, body]: ForeignAnswer): void {
  response.writeHead(status, { ...headers, 'content-length': body.length })
  response.end(body)
}

const injectedErrors: { [Kind in FaultKind]?: [status: number, code: string] } = {
  internalError: [500, 'InternalError'],
  slowDown: [503, 'SlowDown'],
  accessDenied: [403, 'AccessDenied'],
  notImplemented: [501, 'NotImplemented'],
  notAllowed: [405, 'MethodNotAllowed'],
  missingContentMd5: [400, 'MissingContentMD5'],
}

function answerError(
  request: IncomingMessage,
  response: ServerResponse,
  [status, code]: [status: number, code: string],
): void {
  request.resume()
  request.on('end', () => {
    response.writeHead(status, { 'content-type': 'application/xml' })
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>injected</Message></Error>`)
  })
}

function operationOf({ method, headers }: IncomingMessage, query: URLSearchParams): Operation {
  if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload'
  if (method === 'POST' && query.has('uploadId')) return 'CompleteMultipartUpload'
  if (method === 'POST' && query.has('delete')) return 'DeleteObjects'
  if (method === 'PUT') {
    const isCopy = headers['x-amz-copy-source'] !== undefined
    if (query.has('partNumber')) return isCopy ? 'UploadPartCopy' : 'UploadPart'
    return isCopy ? 'CopyObject' : 'PutObject'
  }
  if (method === 'DELETE') return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject'
  if (method === 'HEAD') return 'HeadObject'
  if (method !== 'GET') return 'Other'
  if (query.has('list-type')) return 'ListObjectsV2'
  return query.has('uploads') ? 'ListMultipartUploads' : 'GetObject'
}
