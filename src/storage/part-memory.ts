import { KiB, MiB } from '../core/bytes.js'
import { ConfigurationError, UploadError } from '../core/errors.js'
import { sharedState } from '../core/shared-state.js'
import { minPartBytes } from './part-plan.js'

/** A part grows by so much at a time, so that it holds about what has come of it. */
export const blockBytes = 256 * KiB

/** What a part may hold before all of its size is reserved for it: a client that stalls early costs no more. */
const unreservedShareBytes = 2 * blockBytes

/** Who fills its part slower than that while others wait keeps what it holds, and loses what is reserved beyond. */
const slowestBytesPerSecond = 64 * KiB

/** Freed blocks kept for the next part: a fresh one costs the kernel a page fault for every 4 KiB. */
const maxPooledBytes = 32 * MiB

/** After so long without any part, no block is kept either. */
const keepPoolMilliseconds = 10_000

/** What one part has of the part memory. */
export interface PartShare {
  /** What the part takes when it is full. */
  readonly sizeBytes: number
  /** Blocks, in bytes. */
  readonly heldBytes: number
  /** Kept up to date by whoever fills it: by this its speed is judged. */
  filledBytes: number
}

/** Whose part it is. */
export interface PartHolder {
  /** Called when its client is too slow while others wait for memory; its upload must then end. */
  evict: (error: UploadError) => void
  /** Whether it waits for something else than its client, and so is not to be judged. */
  isSourceHeld: () => boolean
}

interface Share extends PartShare {
  readonly blocks: Buffer[]
  heldBytes: number
  /** Whether the memory for the rest of it is set aside. */
  isReserved: boolean
  /** Whether it is full, or will not grow any more, and comes back without the client's doing. */
  isSealed: boolean
  filledAtLastLook: number | undefined
  readonly holder: PartHolder
}

interface Waiter {
  share: Share
  grant: (block: Buffer) => void
}

/**
 * The memory that parts wait in, bounded for the whole process. A part takes its first blocks as they are needed; to go
 * on, it must have its whole size reserved, so that a part that was begun can be finished. Whoever finds no room waits
 * in turn, with the client's socket paused.
 *
 * Parts that hold blocks without a reservation are given at most half of the memory, and a slow part loses its
 * reservation when others wait, or its upload fails when that half is used up: so no number of slow clients keeps the
 * others from going on.
 */
export class PartMemory {
  #limitBytes: number
  #usedBytes = 0
  /** What is held or reserved. */
  #committedBytes = 0
  readonly #shares = new Set<Share>()
  readonly #waiters: Waiter[] = []
  /** The one that was given back last at the end. */
  readonly #pool: Buffer[] = []
  #watch: NodeJS.Timeout | undefined
  #emptying: NodeJS.Timeout | undefined

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

  /** A share for a part, nothing in it yet. */
  share(partBytes: number, holder: PartHolder): PartShare {
    const share: Share = {
      sizeBytes: Math.ceil(partBytes / blockBytes) * blockBytes,
      heldBytes: 0,
      filledBytes: 0,
      blocks: [],
      isReserved: false,
      isSealed: false,
      filledAtLastLook: undefined,
      holder,
    }
    this.#shares.add(share)
    return share
  }

  /** One more block for that part, if there is room now and nobody waits who must have it first. */
  tryGrow(part: PartShare): Buffer | undefined {
    const share = part as Share
    if (share.isReserved) return this.#give(share)
    if (this.#waiters.length > 0) return undefined
    if (share.heldBytes < unreservedShareBytes && this.#fitsUnreserved(share, blockBytes)) {
      this.#committedBytes += blockBytes
      return this.#give(share)
    }
    if (!this.#fits(share)) return undefined
    this.#reserve(share)
    return this.#give(share)
  }

  /**
   * One more block for that part as soon as there is room, first come first served.
   *
   * @throws the signal's reason when it aborts first.
   */
  grow(part: PartShare, signal: AbortSignal): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const waiter: Waiter = {
        share: part as Share,
        grant: (block) => {
          signal.removeEventListener('abort', onAbort)
          resolve(block)
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

  /** The part grows no more: it is on its way to the store. */
  seal(part: PartShare): void {
    const share = part as Share
    this.#dropReservation(share)
    share.isSealed = true
    this.#serve()
  }

  /** Gives all of a part's blocks back. Its holder must not touch them again. */
  release(part: PartShare): void {
    const share = part as Share
    if (!this.#shares.delete(share)) return
    this.#dropReservation(share)
    this.#committedBytes -= share.heldBytes
    this.#usedBytes -= share.heldBytes
    this.#pool.push(...share.blocks.splice(0))
    this.#shrinkPool(maxPooledBytes)
    this.#serve()
    if (this.#usedBytes === 0) this.#emptyPoolLater()
  }

  #give(share: Share): Buffer {
    this.#usedBytes += blockBytes
    share.heldBytes += blockBytes
    const block = this.#pool.pop() ?? Buffer.allocUnsafeSlow(blockBytes)
    this.#shrinkPool(this.#limitBytes - this.#usedBytes)
    share.blocks.push(block)
    return block
  }

  #reserve(share: Share): void {
    this.#committedBytes += share.sizeBytes - share.heldBytes
    share.isReserved = true
    share.filledAtLastLook = undefined
  }

  #dropReservation(share: Share): void {
    if (!share.isReserved) return
    this.#committedBytes -= share.sizeBytes - share.heldBytes
    share.isReserved = false
  }

  /** Whether the whole of that part has room. */
  #fits(share: Share): boolean {
    return this.#committedBytes - share.heldBytes + share.sizeBytes <= this.#limitBytes
  }

  /** Whether that part may hold so much more without a reservation, and still be able to get one later. */
  #fitsUnreserved(share: Share, bytes: number): boolean {
    const most = Math.min(this.#limitBytes / 2, this.#limitBytes - share.sizeBytes)
    return this.#committedBytes + bytes <= this.#limitBytes && this.#unreservedBytes() + bytes <= most
  }

  /** What is held by parts that may never be finished. */
  #unreservedBytes(): number {
    let bytes = 0
    for (const share of this.#shares) if (!share.isReserved && !share.isSealed) bytes += share.heldBytes
    return bytes
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const next = this.#nextToServe()
      if (next < 0) break
      const [{ share, grant }] = this.#waiters.splice(next, 1) as [Waiter]
      this.#reserve(share)
      grant(this.#give(share))
    }
    this.#keepWatch()
  }

  /**
   * The first of those who wait, if it fits. When nothing comes back by itself, the first that fits, in the end the
   * first one, be it larger than the limit: better slow than never.
   */
  #nextToServe(): number {
    if (this.#fits((this.#waiters[0] as Waiter).share)) return 0
    if (this.#committedBytes > this.#unreservedBytes()) return -1
    return Math.max(
      this.#waiters.findIndex(({ share }) => this.#fits(share)),
      0,
    )
  }

  #keepWatch(): void {
    if (this.#waiters.length > 0) {
      // After a round of reading: a process that was busy itself is not taken for slow clients.
      this.#watch ??= setInterval(() => setImmediate(() => this.#look()), 1000).unref()
    } else if (this.#watch !== undefined) {
      clearInterval(this.#watch)
      this.#watch = undefined
      for (const share of this.#shares) share.filledAtLastLook = undefined
    }
  }

  /** Takes from slow parts what they do not use, for those who wait. */
  #look(): void {
    for (const share of [...this.#shares]) {
      if (!share.isReserved) continue
      if (share.holder.isSourceHeld()) {
        share.filledAtLastLook = undefined
        continue
      }
      const before = share.filledAtLastLook
      share.filledAtLastLook = share.filledBytes
      if (before === undefined || share.filledBytes - before >= slowestBytesPerSecond) continue
      this.#dropReservation(share)
      if (this.#fitsUnreserved(share, 0)) continue
      share.holder.evict(
        new UploadError(
          'too-slow',
          'the file came too slowly while the memory for parts was used up; please try again',
          { context: { slowestBytesPerSecond } },
        ),
      )
    }
    this.#serve()
  }

  #shrinkPool(maxBytes: number): void {
    const blocks = Math.max(0, Math.floor(maxBytes / blockBytes))
    if (this.#pool.length > blocks) this.#pool.splice(0, this.#pool.length - blocks)
  }

  #emptyPoolLater(): void {
    this.#emptying ??= setTimeout(() => {
      this.#emptying = undefined
      if (this.#usedBytes === 0) this.#pool.length = 0
    }, keepPoolMilliseconds).unref()
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
