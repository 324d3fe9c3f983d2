import { createHash, type Hash, hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import { KiB } from '../core/bytes.js'
import { type PartHolder, type PartShare, partMemory } from './part-memory.js'

/**
 * What the first bytes of an upload wait in, besides the part memory: so small files need none of it, and a client
 * that sends a little and then nothing holds none of it.
 */
const startBytes = 64 * KiB

/** Those that nobody uses, for the next upload: a new one takes longer than all else that is done with a small file. */
const startBuffers: Buffer[] = []
const maxStartBuffers = 32

export interface PartBufferOptions {
  /** Counted from 1. */
  number: number
  sizeBytes: number
  /** Whether a CRC-32 of the bytes is kept. */
  hasCrc: boolean
  /** Whether a SHA-256 of the bytes is kept as they come, rather than made when it is asked for. */
  hashes: boolean
  holder: PartHolder
}

/** One part of an upload: its bytes, in blocks of the part memory, and their checksums. */
export class PartBuffer {
  readonly number: number
  readonly sizeBytes: number
  readonly #hasCrc: boolean
  readonly #share: PartShare
  readonly #blocks: Buffer[] = []
  readonly #hashes: boolean
  #hash: Hash | undefined
  /** What is still free in the last block. */
  #roomBytes = 0
  #length = 0
  #crc = 0
  #sha256: string | undefined

  constructor({ number, sizeBytes, hasCrc, hashes, holder }: PartBufferOptions) {
    this.number = number
    this.sizeBytes = sizeBytes
    this.#hasCrc = hasCrc
    this.#hashes = hashes
    this.#share = partMemory.share(sizeBytes, holder)
    if (number === 1) this.#add(startBuffers.pop() ?? Buffer.allocUnsafeSlow(startBytes))
  }

  get length(): number {
    return this.#length
  }

  get isFull(): boolean {
    return this.#length === this.sizeBytes
  }

  /** CRC-32 of the bytes; undefined where none is kept. */
  get crc(): number | undefined {
    return this.#hasCrc ? this.#crc : undefined
  }

  /** Takes of `chunk` what fits without waiting for memory, and says how many bytes that was. */
  append(chunk: Buffer): number {
    let taken = 0
    while (taken < chunk.length && this.#length < this.sizeBytes) {
      if (this.#roomBytes === 0) {
        const block = partMemory.tryGrow(this.#share)
        if (block === undefined) break
        this.#add(block)
      }
      const block = this.#blocks.at(-1) as Buffer
      const most = Math.min(this.#roomBytes, this.sizeBytes - this.#length)
      const copied = chunk.copy(block, block.length - this.#roomBytes, taken, taken + most)
      this.#roomBytes -= copied
      this.#length += copied
      taken += copied
    }
    if (taken > 0) this.#sum(taken === chunk.length ? chunk : chunk.subarray(0, taken))
    return taken
  }

  /** Resolves when there is room for more bytes. */
  async grow(signal: AbortSignal): Promise<void> {
    if (this.#roomBytes === 0) this.#add(await partMemory.grow(this.#share, signal))
  }

  /** No more bytes come. */
  seal(): void {
    partMemory.seal(this.#share)
  }

  /** SHA-256 of the bytes in hex. */
  sha256(): string {
    this.#sha256 ??=
      this.#blocks.length === 1 ? hash('sha256', this.#filled()[0] ?? '') : this.#hashBegun().digest('hex')
    return this.#sha256
  }

  /** The bytes, as often as they are asked for. */
  body(): Buffer | BlockStream {
    const blocks = this.#filled()
    return blocks.length > 1 ? new BlockStream(blocks) : (blocks[0] ?? Buffer.alloc(0))
  }

  /** Gives the memory back: the bytes must not be read any more. */
  release(): void {
    partMemory.release(this.#share)
    const [first] = this.#blocks.splice(0)
    if (this.number === 1 && first !== undefined && startBuffers.length < maxStartBuffers)
      startBuffers.push(first)
  }

  #add(block: Buffer): void {
    this.#blocks.push(block)
    this.#roomBytes = block.length
  }

  #sum(chunk: Buffer): void {
    this.#share.filledBytes = this.#length
    if (this.#hasCrc) this.#crc = crc32(chunk, this.#crc)
    if (this.#hash !== undefined) this.#hash.update(chunk)
    else if (this.#hashes && this.#blocks.length > 1) this.#hash = this.#hashBegun()
  }

  /** Of what is in one block the hash is made in one piece, and an object for it only beyond. */
  #hashBegun(): Hash {
    if (this.#hash !== undefined) return this.#hash
    const begun = createHash('sha256')
    for (const block of this.#filled()) begun.update(block)
    return begun
  }

  /** The blocks, the last one as far as there is something in it. */
  #filled(): Buffer[] {
    const blocks = [...this.#blocks]
    const last = blocks.pop()
    if (last === undefined) return []
    const filled = last.subarray(0, last.length - this.#roomBytes)
    return filled.length === 0 ? blocks : [...blocks, filled]
  }
}

/** Blocks one after another, without a copy. */
export class BlockStream extends Readable {
  readonly #blocks: Buffer[]
  #next = 0

  constructor(blocks: Buffer[]) {
    super({ highWaterMark: 1 })
    this.#blocks = blocks
  }

  /** Whether the last block was given out. */
  get isTaken(): boolean {
    return this.#next >= this.#blocks.length
  }

  override _read(): void {
    this.push(this.#blocks[this.#next++] ?? null)
  }
}
