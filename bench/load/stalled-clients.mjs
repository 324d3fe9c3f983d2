import { Agent } from 'node:http'
import { beginPost, writeBytes } from './post-file.mjs'

const trickleMs = 1000
const trickleBytes = 1000

/** Clients that begin well, with 100 to 300 KB, and then send 1 KB/s of the file they have announced. */
export class StalledClients {
  #requests = []
  #timer

  start({ port, count, bytes }) {
    const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY })
    for (let index = 0; index < count; index++) {
      const req = beginPost({ port, agent, bytes })
      req.on('error', (error) => {
        req.failure = error
      })
      req.on('response', (res) => {
        req.failure = new Error(`a stalled client was answered with ${res.statusCode}`)
        res.resume()
      })
      const first = 100_000 + Math.round((index / count) * 200_000)
      writeBytes(req, first).catch(() => undefined) // Its error is kept above.
      this.#requests.push(req)
    }
    this.#timer = setInterval(() => {
      // A server that does not read on is not sent more: that is what stalls this client.
      for (const req of this.#requests) if (!req.writableNeedDrain) req.write(Buffer.alloc(trickleBytes))
    }, trickleMs)
  }

  /** Gives up all of them. @throws when the server had not left one of them in peace until now. */
  end() {
    clearInterval(this.#timer)
    const failure = this.#requests.find((req) => req.failure !== undefined)?.failure
    for (const req of this.#requests) req.destroy()
    this.#requests = []
    if (failure !== undefined) throw failure
  }
}
