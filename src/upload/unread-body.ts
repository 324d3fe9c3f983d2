import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { MiB } from '../core/bytes.js'

interface UnreadBodyLimits {
  /** Bytes that are let go by. */
  bytes: number
  /** Seconds in which nothing comes. */
  idleSeconds: number
  seconds: number
}

const defaults: UnreadBodyLimits = { bytes: 64 * MiB, idleSeconds: 5, seconds: 30 }

/**
 * The rest of a body that nobody wants any more. It is read for a while, since many clients look for the answer only
 * when they have sent all; then its connection is ended.
 */
export class UnreadBody {
  readonly #body: Readable
  readonly #limits: UnreadBodyLimits
  #timer: NodeJS.Timeout | undefined
  #isReading = false
  #bytes = 0
  #bytesBefore = 0
  #seconds = 0
  #idleSeconds = 0

  constructor(body: Readable, limits: UnreadBodyLimits = defaults) {
    this.#body = body
    this.#limits = limits
  }

  /** Lets bytes go by. */
  letBy(): void {
    if (this.#isReading) return
    this.#isReading = true
    this.#body.on('data', this.#onData).resume()
  }

  /** Ends the connection in a while, unless the body ends before: from here on the answer can be sent. */
  endSoon(): void {
    if (this.#body.readableEnded || this.#body.destroyed || this.#timer !== undefined) return
    // It does not keep a process that has nothing else to do.
    this.#timer = setInterval(() => this.#tick(), 1000).unref()
    const endConnection = this.#keepConnection()
    const stop = () => {
      clearInterval(this.#timer)
      endConnection()
    }
    this.#body.once('end', stop).once('close', stop)
  }

  /**
   * A connection that is for this request alone (`Connection: close`, HTTP/1.0) Node closes as soon as it has answered. What still
   * comes in is then refused by the kernel, and a client that sends first and reads later never sees the answer. So
   * that only ends our side of it at first.
   *
   * @returns what makes up for it.
   */
  #keepConnection(): () => void {
    const { httpVersionMajor, socket } = this.#body as Partial<IncomingMessage>
    if (httpVersionMajor !== 1 || socket === undefined) return () => undefined
    const { destroySoon } = socket
    let isDue = false
    socket.destroySoon = () => {
      isDue = true
      socket.end()
    }
    return () => {
      socket.destroySoon = destroySoon
      if (isDue) socket.destroySoon()
    }
  }

  readonly #onData = (chunk: Buffer) => {
    this.#bytes += chunk.length
    if (this.#bytes > this.#limits.bytes) this.#body.off('data', this.#onData).pause()
  }

  #tick(): void {
    this.#idleSeconds = this.#bytes > this.#bytesBefore ? 0 : this.#idleSeconds + 1
    this.#bytesBefore = this.#bytes
    if (++this.#seconds >= this.#limits.seconds || this.#idleSeconds >= this.#limits.idleSeconds) {
      this.#body.destroy()
    }
  }
}
