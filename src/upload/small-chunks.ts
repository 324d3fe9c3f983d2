import { KiB } from '../core/bytes.js'

const stageBytes = 4 * KiB
const waitMs = 20

/**
 * Joins chunks of less than 4 KiB before they go on. A client can have its body arrive byte by byte, and a buffer for each
 * byte takes a hundred times its memory wherever bytes are kept.
 */
export class SmallChunks {
  readonly #write: (chunk: Buffer) => void
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
    this.#stage ??= Buffer.allocUnsafeSlow(stageBytes)
    this.#staged += chunk.copy(this.#stage, this.#staged)
    this.#timer ??= setTimeout(() => this.flush(), waitMs)
  }

  /** Passes on what waits. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#stage === undefined || this.#staged === 0) return
    const chunk = Buffer.from(this.#stage.subarray(0, this.#staged)) // As large as it is, so that it holds no more.
    this.#staged = 0
    this.#write(chunk)
  }

  /** Drops what waits. */
  stop(): void {
    this.#staged = 0
    this.flush()
  }
}
