import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { isS3FileError } from '../../src/core/errors.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<unknown>

export interface TestServer {
  url: string
  port: number
  /** What the last handlers resolved or rejected with, in order. */
  outcomes: Promise<unknown>[]
  stop: () => Promise<void>
}

/** A plain Node server that answers with the handler's result, or with the error's status, code and message. */
export async function startServer(handler: Handler): Promise<TestServer> {
  const outcomes: Promise<unknown>[] = []
  const server = createServer((request, response) => {
    const outcome = handler(request, response)
    outcomes.push(outcome)
    outcome.then(
      (result) => answer(response, 200, result),
      (error: unknown) =>
        isS3FileError(error)
          ? answer(response, error.statusCode, { code: error.code, message: error.message })
          : answer(response, 500, { code: 'other', message: String(error) }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    outcomes,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function answer(response: ServerResponse, status: number, result: unknown): void {
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(result ?? null))
}

/** Posts bytes exactly as they are given and resolves with the status and the parsed answer. */
export async function post(
  url: string,
  body: Uint8Array | string,
  contentType: string | undefined,
): Promise<{ status: number; body: { code: string; message: string } & Record<string, unknown> }> {
  const response = await fetch(url, {
    method: 'POST',
    body: body as never,
    headers: contentType === undefined ? {} : { 'content-type': contentType },
  })
  return { status: response.status, body: await response.json() }
}

/** A request that is sent bit by bit over a socket of its own. */
export class RawRequest {
  readonly socket: Socket
  #received = ''

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1')
    })
    socket.on('error', () => undefined)
  }

  static async open(port: number, headers: Record<string, string | number>): Promise<RawRequest> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve) => socket.once('connect', resolve))
    const lines = Object.entries({ host: 'localhost', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    const raw = new RawRequest(socket)
    await raw.send(`POST / HTTP/1.1\r\n${lines.join('')}\r\n`)
    return raw
  }

  /** Resolves when the bytes are written, or the other side has closed. */
  send(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(bytes, () => resolve())
    })
  }

  /** The status of the answer as soon as there is one. */
  async status(): Promise<number> {
    while (!this.#received.includes('\r\n')) await new Promise((resolve) => setTimeout(resolve, 5))
    return Number(this.#received.split(' ')[1])
  }
}
