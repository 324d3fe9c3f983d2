import { startChild } from './child.mjs'
import { Figure } from './figure.mjs'

export const ours = 'typeorm-s3-file'
/** With `unsignedPayload: 'always'`: what the signature of bodies over plain HTTP costs. */
export const unsigned = 'typeorm-s3-file-unsigned'
export const peers = ['lib-storage', 'multer-s3']
export const contestants = [ours, ...peers]
const python = 's3chunkuploader'

/** What the measurements share: the sink, the clients, how many rounds, and how large. */
export class Bench {
  #mode
  #nginx
  #load

  /** @param mode `full`, `quick` or `smoke` */
  constructor({ mode, rounds, hasHugeFile, hasPython }) {
    this.#mode = mode
    this.hasHugeFile = hasHugeFile
    this.hasPython = hasPython
    this.rounds = rounds ?? this.sized({ full: 5, quick: 2, smoke: 1 })
  }

  sized(sizes) {
    return sizes[this.#mode]
  }

  figure(id) {
    return new Figure(id)
  }

  note(text) {
    console.error(`${(performance.now() / 1000).toFixed(0).padStart(5)} s  ${text}`)
  }

  /** The S3 that discards, started when it is first asked for. */
  async nginx() {
    this.#nginx ??= startChild('sinks/nginx.mjs')
    return this.#nginx
  }

  /** The clients. */
  async load() {
    this.#load ??= startChild('load/main.mjs')
    return this.#load
  }

  async startServer(name, { transport = 'http', endpoint } = {}) {
    const { port, tlsPort, caFile } = endpoint === undefined ? await this.nginx() : {}
    const url =
      endpoint ?? (transport === 'tls' ? `https://127.0.0.1:${tlsPort}` : `http://127.0.0.1:${port}`)
    const env = caFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: caFile }
    const main = name === python ? 'django/main.mjs' : 'servers/main.mjs'
    const server = await startChild(main, [name, url], { env })
    return { name, ...server }
  }

  /** A server of each contestant, which has taken one file as a warm-up. */
  async startServers(warmUp, { also = [], ...options } = {}) {
    const servers = []
    for (const name of [...contestants, ...also, ...(this.hasPython ? [python] : [])]) {
      const server = await this.startServer(name, options)
      await this.post(server, warmUp)
      servers.push(server)
    }
    return servers
  }

  /** Posts to a server and says what it used meanwhile. */
  async post(server, work) {
    const load = await this.load()
    await server.ask('reset')
    const posted = await load.ask('post', { port: server.port, ...work })
    return { posted, usage: await server.ask('usage') }
  }

  /** Round after round each of the items once, beginning with another one each time. */
  async alternate(items, run) {
    for (let round = 0; round < this.rounds; round++) {
      for (let place = 0; place < items.length; place++) {
        await run(items[(place + round) % items.length])
      }
    }
  }
}
