import { once } from 'node:events'
import { createServer, request as sendRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * What goes wrong with a request: `refuse` and `reset` before the server sees it, `failed` and `unheard` after it has done
 * what was asked; `late` takes the client's connection away while the server is still about to do it.
 */
const faults = ['refuse', 'reset', 'failed', 'unheard', 'late']

/** How long the server takes for a request that comes late: longer than the client's next tries. */
const lateMs = 25

const unavailable =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>ServiceUnavailable</Code><Message>try again</Message></Error>'

/**
 * Stands between the processes under test and the S3 server. It spoils a part of the requests, delays others, knows
 * when the server is done with all of them, and remembers what was asked for which key.
 */
export class FaultProxy {
  #server
  #target
  #random
  #sockets = new Set()
  #forwarded = new Set()
  #history = new Map()
  /** The part of the requests that is spoilt, from 0 to 1. */
  faultRate = 0
  requests = 0
  spoilt = 0

  constructor(target, random) {
    this.#target = new URL(target)
    this.#random = random
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => request.socket.destroy())
    })
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  async start() {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get endpoint() {
    return `http://127.0.0.1:${this.#server.address().port}`
  }

  /** Resolves when no client is connected and the server has answered, or lost, all that was sent to it. */
  async isQuiet() {
    while (this.#sockets.size + this.#forwarded.size > 0) await sleep(1)
  }

  /** What was asked for a key, and what came of it. */
  historyOf(key) {
    return this.#history.get(key) ?? []
  }

  forgetHistory() {
    this.#history.clear()
  }

  async stop() {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #handle(request, response) {
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    this.requests++
    const fault = this.#random.chance(this.faultRate) ? this.#pickFault(request) : undefined
    if (fault !== undefined) this.spoilt++
    const note = this.#note(request, fault)
    const delay = this.#random.chance(0.5) ? this.#random.between(0, 10) : 0
    if (fault === 'reset') {
      request.socket.destroy()
      return
    }
    if (fault === 'refuse') {
      await request.resume().toArray()
      response.writeHead(503, { 'content-type': 'application/xml' }).end(unavailable)
      return
    }
    const answer = await this.#forward(request, delay, fault === 'late')
    note(answer.status)
    if (fault === 'unheard') request.socket.destroy()
    else if (fault === 'failed') {
      response.writeHead(503, { 'content-type': 'application/xml' }).end(unavailable)
    } else if (fault !== 'late') response.writeHead(answer.status, answer.headers).end(answer.body)
  }

  /** Nothing names a multipart upload that begins when its client has gone: only the bucket's lifecycle rule ends it. */
  #pickFault({ url }) {
    const fault = this.#random.pick(faults)
    return fault === 'late' && url.includes('?uploads') ? 'reset' : fault
  }

  /** Also when the client goes away, once it has sent all: a server does not notice before it answers. */
  async #forward(request, delay, isLate) {
    const token = {}
    this.#forwarded.add(token)
    try {
      const body = Buffer.concat(await request.toArray())
      if (isLate) request.socket.destroy()
      await sleep(isLate ? lateMs : delay)
      const { hostname, port } = this.#target
      const { method, url: path, headers } = request
      const upstream = sendRequest({ hostname, port, method, path, headers }).end(body)
      upstream.on('error', () => undefined) // Also after the answer: a server may give it, and go, before it has all.
      const [answer] = await once(upstream, 'response')
      return {
        status: answer.statusCode,
        headers: answer.headers,
        body: Buffer.concat(await answer.toArray()),
      }
    } finally {
      this.#forwarded.delete(token)
    }
  }

  #note({ method, url }, fault) {
    const { pathname, search } = new URL(url, 'http://s3')
    const key = decodeURIComponent(pathname.split('/').slice(2).join('/'))
    const line = { at: new Date().toISOString(), request: `${method} ${search}`, fault, status: undefined }
    this.#history.set(key, [...(this.#history.get(key) ?? []), line])
    return (status) => {
      line.status = status
    }
  }
}
