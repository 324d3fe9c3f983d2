import { KiB } from '../core/bytes.js'

const stageBytes = 4 * KiB
const waitMs = 250

/**
 * Joins chunks of less than 4 KiB before they go on. A client can have its body arrive byte by byte, and a buffer for each
 * byte takes a hundred times its memory wherever bytes are kept.
 */
export class SmallChunks {
  readonly #write: (chunk: Buffer) => void
  /** The only one that waits; from the second on they are joined in the stage. */
  #first: Buffer | undefined
  #stage: Buffer | undefined
  #staged = 0
  #timer: NodeJS.Timeout | undefined

  constructor(write: (chunk: Buffer) => void) {
    this.#write = write
  }

  add(chunk: Buffer): void {
    if (this.#staged + chunk.length > stageBytes) this.flush()
    if (chunk.length >= stageBytes) {
      this.#write(chunk)
      return
    }
    if (this.#staged === 0) this.#first = isAlone(chunk) ? chunk : Buffer.from(chunk)
    else this.#join(chunk)
    this.#staged += chunk.length
    this.#timer ??= setTimeout(() => this.flush(), waitMs)
  }

  /** Passes on what waits. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#staged === 0) return
    const chunk = this.#first ?? Buffer.from((this.#stage as Buffer).subarray(0, this.#staged))
    this.#first = undefined
    this.#staged = 0
    this.#write(chunk)
  }

  /** Drops what waits. */
  stop(): void {
    this.#staged = 0
    this.flush()
  }

  #join(chunk: Buffer): void {
    this.#stage ??= Buffer.allocUnsafeSlow(stageBytes)
    this.#first?.copy(this.#stage)
    this.#first = undefined
    chunk.copy(this.#stage, this.#staged)
  }
}

/** Whether it holds no more memory than its own: HTTP/2 cuts its chunks out of all that the socket gave. */
function isAlone({ buffer, length }: Buffer): boolean {
  return buffer.byteLength === length
}
