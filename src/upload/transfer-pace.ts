import { formatBytes } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import type { ResolvedFormLimits } from './form-limits.js'

const leastTicksPerPeriod = 10
const mostTickSeconds = 3

/** Time over which a client is judged while other uploads wait for its place. */
const crowdedSeconds = 3

/** The bytes of so many ticks in a row. */
class Span {
  readonly #ticks: number
  #left: number
  #bytes = 0

  constructor(ticks: number) {
    this.#ticks = ticks
    this.#left = ticks
  }

  /** @returns the bytes of the span at its end, from which the next one starts. */
  tick(bytes: number): number | undefined {
    this.#bytes += bytes
    if (--this.#left > 0) return undefined
    const total = this.#bytes
    this.restart()
    return total
  }

  restart(): void {
    this.#left = this.#ticks
    this.#bytes = 0
  }
}

/**
 * Watches how fast a body comes, and judges the client by the time in which it could send alone: after a tick in which the
 * upload held it back, because the store or the memory for parts did, it begins anew. It counts ticks rather
 * than reads a clock, so that a process that was busy itself is not taken for a slow client.
 */
export class TransferPace {
  readonly #limits: ResolvedFormLimits
  readonly #leastInCrowd: () => number
  readonly #onTooSlow: (error: UploadError) => void
  readonly #tickSeconds: number
  readonly #ticksPerPeriod: number
  readonly #period: Span
  readonly #crowdedSpan: Span
  #timer: NodeJS.Timeout | undefined
  #isHeld = false
  #wasHeld = false
  #tickBytes = 0
  #idleTicks = 0

  /** @param leastInCrowd bytes per second that must come while other uploads wait for a place; 0 while none does. */
  constructor(
    limits: ResolvedFormLimits,
    leastInCrowd: () => number,
    onTooSlow: (error: UploadError) => void,
  ) {
    this.#limits = limits
    this.#leastInCrowd = leastInCrowd
    this.#onTooSlow = onTooSlow
    this.#ticksPerPeriod = Math.max(
      leastTicksPerPeriod,
      Math.ceil(limits.idleTimeoutSeconds / mostTickSeconds),
    )
    this.#tickSeconds = limits.idleTimeoutSeconds / this.#ticksPerPeriod
    this.#period = new Span(this.#ticksPerPeriod)
    this.#crowdedSpan = new Span(Math.ceil(crowdedSeconds / this.#tickSeconds))
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), this.#tickSeconds * 1000)
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
      this.#period.restart()
      this.#crowdedSpan.restart()
      return
    }
    this.#idleTicks = bytes > 0 ? 0 : this.#idleTicks + 1
    const error = this.#judge(bytes)
    if (error !== undefined) this.#onTooSlow(error)
  }

  #judge(bytes: number): UploadError | undefined {
    const { minBytesPerSecond, idleTimeoutSeconds } = this.#limits
    const periodBytes = this.#period.tick(bytes)
    const crowdedBytes = this.#crowdedSpan.tick(bytes)
    if (this.#idleTicks === this.#ticksPerPeriod) return idle(this.#limits)
    if (periodBytes !== undefined && periodBytes < minBytesPerSecond * idleTimeoutSeconds) {
      return tooSlow(this.#limits, periodBytes)
    }
    const least = this.#leastInCrowd()
    if (crowdedBytes !== undefined && crowdedBytes < least * crowdedSeconds) return tooSlowInCrowd(least)
    return undefined
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

function tooSlowInCrowd(least: number): UploadError {
  return new UploadError(
    'too-slow',
    `the body came more slowly than ${formatBytes(least)} a second while other uploads waited for a place; please try again`,
    { context: { limit: 'minBytesPerSecondWhenFull', value: least } },
  )
}
