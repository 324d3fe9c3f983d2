import { Readable } from 'node:stream'
import { formatBytes } from '../core/bytes.js'
import { ConfigurationError, UploadError } from '../core/errors.js'
import {
  assertNotTooLarge,
  assertNotTooSmall,
  describeFile,
  type FilePolicy,
  type IncomingFile,
} from '../core/file-policy.js'
import { sniffedBytes } from './media-type.js'

export interface GateRules {
  policies: readonly FilePolicy[]
  /** The length that the file must have, where one was given. */
  announcedBytes?: number | undefined
  /** Called with the bytes that have come so far. */
  onBytes?: ((bytes: number) => void) | undefined
}

interface Head {
  chunks: Buffer[]
  wantedBytes: number
  resolve: (head: Buffer) => void
}

/**
 * A file's bytes on their way from the source to the storage. It ends only for a file that may be stored: a storage
 * sees an error instead of an end otherwise, and so never completes the object.
 *
 * It listens to the source itself: a pipe into a Transform costs a second buffer and a callback for each chunk.
 */
export class UploadGate extends Readable {
  readonly #source: Readable
  readonly #file: IncomingFile
  readonly #rules: GateRules
  /** The least of all upper limits. */
  readonly #mostBytes: number
  #bytes = 0
  #hasEnded = false
  /** What has come of the bytes that somebody waits for. */
  #head: Head | undefined

  constructor(source: Readable, file: IncomingFile, rules: GateRules) {
    // Room for the head, which nobody reads yet; beyond, a chunk is all that waits here.
    super({ highWaterMark: 2 * sniffedBytes })
    this.#source = source
    this.#file = file
    this.#rules = rules
    const limits = [...rules.policies.map(({ maxSizeBytes }) => maxSizeBytes), rules.announcedBytes]
    this.#mostBytes = Math.min(...limits.map((limit) => limit ?? Number.POSITIVE_INFINITY))
    source.on('error', (error) => this.destroy(error))
    if (source.destroyed) {
      this.#onClose()
    } else {
      source.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose)
      source.resume() // Also one that was paused by hand: the first bytes are wanted before anybody reads.
    }
  }

  /**
   * The first bytes, as many as are wanted or, of a shorter file, all. They pass the gate all the same. To be called at
   * once, and once.
   *
   * @throws what ends the source, or the file, before.
   */
  head(wantedBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#head = { chunks: [], wantedBytes, resolve }
      if (this.destroyed) reject(this.errored)
      else this.once('error', reject)
    })
  }

  /** Whether bytes wait here to be read, or all have come. */
  get isSourceHeld(): boolean {
    return this.#hasEnded || this.readableLength > 0
  }

  override _read(): void {
    this.#source.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#hasEnded) this.#source.destroy(error ?? undefined)
    done(error)
  }

  readonly #onData = (given: unknown) => {
    if (this.destroyed) return
    let chunk: Buffer
    try {
      chunk = Buffer.isBuffer(given) ? given : bufferOf(given)
      this.#bytes += chunk.length
      if (this.#bytes > this.#mostBytes) this.#failTooLarge()
      this.#rules.onBytes?.(this.#bytes)
    } catch (error) {
      this.destroy(error as Error)
      return
    }
    if (this.#head !== undefined) {
      this.#head.chunks.push(chunk)
      if (this.#bytes >= this.#head.wantedBytes) this.#resolveHead(this.#head)
    }
    if (!this.push(chunk)) this.#source.pause()
  }

  readonly #onEnd = () => {
    this.#hasEnded = true
    const { policies, announcedBytes } = this.#rules
    try {
      for (const policy of policies) assertNotTooSmall(policy, this.#file, this.#bytes)
      if (announcedBytes !== undefined && this.#bytes < announcedBytes) throw this.#wrongSize('fewer')
    } catch (error) {
      this.destroy(error as Error)
      return
    }
    if (this.#head !== undefined) this.#resolveHead(this.#head)
    this.push(null)
  }

  readonly #onClose = () => {
    if (this.#hasEnded) return
    const closed = new UploadError('truncated-body', 'the source was closed before its end')
    this.destroy(this.#source.errored ?? closed)
  }

  #resolveHead({ chunks, wantedBytes, resolve }: Head): void {
    this.#head = undefined
    resolve(Buffer.concat(chunks, Math.min(this.#bytes, wantedBytes)))
  }

  #failTooLarge(): never {
    for (const policy of this.#rules.policies) assertNotTooLarge(policy, this.#file, this.#bytes)
    throw this.#wrongSize('more')
  }

  #wrongSize(what: 'more' | 'fewer'): UploadError {
    const announced = this.#rules.announcedBytes as number
    return new UploadError(
      'size-mismatch',
      `${describeFile(this.#file)} has ${what} bytes than the ${formatBytes(announced)} that were announced`,
      { context: { name: this.#file.name, sizeBytes: announced } },
    )
  }
}

/** A stream of objects may give any view of bytes, or text. */
function bufferOf(chunk: unknown): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk)
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
  throw new ConfigurationError('invalid-value', 'the source gives something else than bytes')
}
