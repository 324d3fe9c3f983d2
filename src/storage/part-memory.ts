import { MiB } from '../core/bytes.js'
import { ConfigurationError } from '../core/errors.js'
import { sharedState } from '../core/shared-state.js'
import { minPartBytes } from './part-plan.js'

/** Freed buffers kept for the next part: a fresh one costs the kernel a page fault for every 4 KiB. */
const maxPooledBytes = 32 * MiB

interface Waiter {
  bytes: number
  grant: (buffer: Buffer) => void
}

/**
 * The memory that parts wait in, bounded for the whole process. Whoever finds it used up waits in turn, with the
 * client's socket paused.
 */
export class PartMemory {
  #limitBytes: number
  #usedBytes = 0
  #pooledBytes = 0
  /** The one that was given back last at the end. */
  readonly #pool: Buffer[] = []
  readonly #waiters: Waiter[] = []

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get limitBytes(): number {
    return this.#limitBytes
  }

  set limitBytes(bytes: number) {
    this.#limitBytes = bytes
    this.#serve()
  }

  /** Bytes out at the moment. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** A buffer of that size if there is room now and nobody waits. */
  tryTake(bytes: number): Buffer | undefined {
    return this.#waiters.length === 0 && this.#hasRoom(bytes) ? this.#allocate(bytes) : undefined
  }

  /**
   * A buffer of that size as soon as there is room, first come first served.
   *
   * @throws the signal's reason when it aborts first.
   */
  take(bytes: number, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const waiter: Waiter = {
        bytes,
        grant: (buffer) => {
          signal.removeEventListener('abort', onAbort)
          resolve(buffer)
        },
      }
      const onAbort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal.reason)
        this.#serve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
      this.#serve()
    })
  }

  /** Gives a buffer back. Its holder must not touch it again. */
  release(buffer: Buffer): void {
    this.#usedBytes -= buffer.length
    if (buffer.length >= minPartBytes) {
      this.#pool.push(buffer)
      this.#pooledBytes += buffer.length
      this.#shrinkPool(maxPooledBytes)
    }
    this.#serve()
  }

  /** A single part larger than the limit passes when it is alone: better slow than never. */
  #hasRoom(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#limitBytes
  }

  #allocate(bytes: number): Buffer {
    this.#usedBytes += bytes
    const index = this.#pool.findLastIndex((buffer) => buffer.length === bytes)
    if (index >= 0) {
      this.#pooledBytes -= bytes
      return this.#pool.splice(index, 1)[0] as Buffer
    }
    this.#shrinkPool(this.#limitBytes - this.#usedBytes)
    return Buffer.allocUnsafeSlow(bytes)
  }

  #shrinkPool(maxBytes: number): void {
    while (this.#pooledBytes > Math.max(0, maxBytes)) {
      this.#pooledBytes -= (this.#pool.shift() as Buffer).length
    }
  }

  #serve(): void {
    for (
      let next = this.#waiters[0];
      next !== undefined && this.#hasRoom(next.bytes);
      next = this.#waiters[0]
    ) {
      this.#waiters.shift()
      next.grant(this.#allocate(next.bytes))
    }
  }
}

export const partMemory = sharedState('partMemory', () => new PartMemory(128 * MiB))

/**
 * Bounds the memory in which parts of all uploads of this process wait for S3.
 *
 * @param bytes at least 5 MiB, S3's least part size. @default 134_217_728 (128 MiB)
 * @throws ConfigurationError `invalid-option`.
 */
export function setPartMemoryLimit(bytes: number): void {
  if (!Number.isSafeInteger(bytes) || bytes < minPartBytes) {
    throw new ConfigurationError(
      'invalid-option',
      `setPartMemoryLimit takes an integer of at least ${minPartBytes}, not ${String(bytes)}`,
    )
  }
  partMemory.limitBytes = bytes
}
