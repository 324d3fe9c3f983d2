import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How it fails: with which status and code, or before its answer is whole. */
export type Failure = [status: number, code: string] | 'reset' | 'silent' | 'page' | 'garbage'

/** The worst store there could be: it fails each request and quotes all that came with it, in headers and body. */
export class QuotingStore {
  failure: Failure = [403, 'AccessDenied']
  readonly #server = createServer((request, response) => {
    request.resume().on('end', () => this.#answer(request, response))
  })

  static async start(): Promise<QuotingStore> {
    const store = new QuotingStore()
    await new Promise<void>((resolve) => store.#server.listen(0, '127.0.0.1', resolve))
    return store
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { failure } = this
    if (failure === 'silent') return
    if (failure === 'reset') return void request.socket.destroy()
    const quoted = `${request.url} ${Object.entries(request.headers)
      .map(([name, value]) => `${name}: ${value}`)
      .join(' ')}`
    const isXml = failure !== 'page'
    response.writeHead(typeof failure === 'string' ? (isXml ? 200 : 500) : failure[0], {
      'content-type': isXml ? 'application/xml' : 'text/html',
      'x-quoted': quoted,
    })
    if (failure === 'page') return void response.end(`<html>${quoted}`)
    if (failure === 'garbage') return void response.end(`<Unclosed>${quoted}`)
    const [, code] = failure as [number, string]
    const token = request.headers['x-amz-security-token']
    const key = /Credential=([^/]+)/.exec(`${request.headers.authorization}`)?.[1]
    const fields = `<AWSAccessKeyId>${key}</AWSAccessKeyId><Token-0>${token}</Token-0><StringToSign>${quoted}</StringToSign>`
    response.end(
      `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${key}: ${quoted}</Message>${fields}</Error>`,
    )
  }
}
