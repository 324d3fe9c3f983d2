import { Readable } from 'node:stream'
import { formatBytes } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import {
  assertNotTooLarge,
  assertNotTooSmall,
  describeFile,
  type FilePolicy,
  type IncomingFile,
} from '../core/file-policy.js'
import { freeChunk } from '../core/free-chunk.js'
import type { ByteSink, ByteSource } from './byte-source.js'
import { sniffedBytes } from './media-type.js'
import { readerCounter } from './reader-counter.js'

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
 */
export class UploadGate extends Readable implements ByteSink {
  readonly #source: ByteSource
  readonly #file: IncomingFile
  readonly #rules: GateRules
  /** The least of all upper limits. */
  readonly #mostBytes: number
  readonly #countReaders = readerCounter(this)
  #bytes = 0
  #hasEnded = false
  /** What has come of the bytes that somebody waits for. */
  #head: Head | undefined

  constructor(source: ByteSource, file: IncomingFile, rules: GateRules) {
    // Room for the head, which nobody reads yet; beyond, a chunk is all that waits here.
    super({ highWaterMark: 2 * sniffedBytes })
    this.#source = source
    this.#file = file
    this.#rules = rules
    const limits = [...rules.policies.map(({ maxSizeBytes }) => maxSizeBytes), rules.announcedBytes]
    this.#mostBytes = Math.min(...limits.map((limit) => limit ?? Number.POSITIVE_INFINITY))
    source.sendTo(this)
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

  /** What a storage has copied, unless somebody else has ever read here. */
  [freeChunk](chunk: Buffer): void {
    if (this.#countReaders() === 1) this.#source.freeChunk(chunk)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#hasEnded) this.#source.destroy(error ?? undefined)
    done(error)
  }

  write(chunk: Buffer): void {
    if (this.destroyed) return
    try {
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

  end(): void {
    if (this.destroyed) return
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

  fail(error: Error): void {
    this.destroy(error)
  }

  #resolveHead({ chunks, wantedBytes, resolve }: Head): void {
    this.#head = undefined
    const [first] = chunks
    const length = Math.min(this.#bytes, wantedBytes)
    const isInFirst = first !== undefined && first.length >= length
    resolve(isInFirst ? first.subarray(0, length) : Buffer.concat(chunks, length))
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
