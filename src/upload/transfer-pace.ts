import { formatBytes } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import type { ResolvedFormLimits } from './form-limits.js'

const ticksPerPeriod = 10

/**
 * Watches how fast a body comes, and judges the client by the time in which it could send alone: after a tick in which the
 * upload held it back, because the store or the memory for parts did, it begins anew. It counts ticks rather
 * than reads a clock, so that a process that was busy itself is not taken for a slow client.
 */
export class TransferPace {
  readonly #limits: ResolvedFormLimits
  readonly #onTooSlow: (error: UploadError) => void
  #timer: NodeJS.Timeout | undefined
  #isHeld = false
  #wasHeld = false
  #tickBytes = 0
  #idleTicks = 0
  #periodBytes = 0
  #periodTicks = 0

  constructor(limits: ResolvedFormLimits, onTooSlow: (error: UploadError) => void) {
    this.#limits = limits
    this.#onTooSlow = onTooSlow
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), (this.#limits.idleTimeoutSeconds * 1000) / ticksPerPeriod)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  received(bytes: number): void {
    this.#tickBytes += bytes
  }

  /** The client is held back from here on. */
  hold(): void {
    this.#isHeld = true
    this.#wasHeld = true
  }

  /** The client may send again. */
  release(): void {
    this.#isHeld = false
  }

  #tick(): void {
    const bytes = this.#tickBytes
    const wasHeld = this.#wasHeld
    this.#tickBytes = 0
    this.#wasHeld = this.#isHeld
    if (wasHeld) {
      this.#idleTicks = 0
      this.#startPeriod()
      return
    }
    this.#idleTicks = bytes > 0 ? 0 : this.#idleTicks + 1
    if (this.#idleTicks === ticksPerPeriod) {
      this.#onTooSlow(idle(this.#limits))
      return
    }
    this.#periodBytes += bytes
    if (++this.#periodTicks < ticksPerPeriod) return
    if (this.#periodBytes < this.#limits.minBytesPerSecond * this.#limits.idleTimeoutSeconds) {
      this.#onTooSlow(tooSlow(this.#limits, this.#periodBytes))
    }
    this.#startPeriod()
  }

  #startPeriod(): void {
    this.#periodBytes = 0
    this.#periodTicks = 0
  }
}

function idle({ idleTimeoutSeconds }: ResolvedFormLimits): UploadError {
  return new UploadError(
    'request-timeout',
    `nothing of the body has come for the limit of ${idleTimeoutSeconds} seconds`,
    { context: { limit: 'idleTimeoutSeconds', value: idleTimeoutSeconds } },
  )
}

function tooSlow(
  { minBytesPerSecond, idleTimeoutSeconds }: ResolvedFormLimits,
  periodBytes: number,
): UploadError {
  return new UploadError(
    'too-slow',
    `${formatBytes(periodBytes)} of the body came in ${idleTimeoutSeconds} seconds, fewer than the limit of ${formatBytes(minBytesPerSecond)} a second`,
    { context: { limit: 'minBytesPerSecond', value: minBytesPerSecond } },
  )
}
