import { KiB, MiB } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'
import { sharedState } from '../core/shared-state.js'
import { defaultFieldMemoryBytes, fieldMemory } from './field-memory.js'

/** What all uploads of this process may take together. */
export interface UploadLimits {
  /** Requests that upload at once, of both verbs together; at least 1. @default 1000 */
  concurrent?: number
  /** Requests that wait, their bodies unread; the next one is refused. @default 1000 */
  queued?: number
  /** Seconds that one waits at most, 1 to 86,400. @default 10 */
  queueSeconds?: number
  /**
   * Bytes per second that each upload must receive, over 3 seconds in which it is ready to read, while others wait for its
   * place; 0 for no such limit. @default 65_536 (64 KiB)
   */
  minBytesPerSecondWhenFull?: number
  /**
   * Bytes of memory for the fields of all forms that are being read, at least 1 MiB. Where it is used up, the form that holds most is
   * refused. A byte of a field counts twice, since text may take two. @default 67_108_864 (64 MiB)
   */
  fieldMemoryBytes?: number
}

const checks: Record<keyof UploadLimits, OptionCheck> = {
  concurrent: option.integer(1),
  queued: option.integer(0),
  queueSeconds: option.integer(1, 86_400),
  minBytesPerSecondWhenFull: option.integer(0),
  fieldMemoryBytes: option.integer(MiB),
}

type SlotLimits = Required<Omit<UploadLimits, 'fieldMemoryBytes'>>

export const defaults: SlotLimits = {
  concurrent: 1000,
  queued: 1000,
  queueSeconds: 10,
  minBytesPerSecondWhenFull: 64 * KiB,
}

/** The places of uploads at work, first come first served. */
export class UploadSlots {
  /** What gives each its place. */
  readonly #waiters: (() => void)[] = []
  #limits = defaults
  #used = 0

  /** Uploads at work. */
  get used(): number {
    return this.#used
  }

  /** Uploads that wait. */
  get waiting(): number {
    return this.#waiters.length
  }

  /** How fast each upload must come at the moment to keep its place; 0 while none waits for one. */
  get leastBytesPerSecond(): number {
    return this.#waiters.length === 0 ? 0 : this.#limits.minBytesPerSecondWhenFull
  }

  limit(limits: UploadLimits): void {
    this.#limits = {
      concurrent: limits.concurrent ?? defaults.concurrent,
      queued: limits.queued ?? defaults.queued,
      queueSeconds: limits.queueSeconds ?? defaults.queueSeconds,
      minBytesPerSecondWhenFull: limits.minBytesPerSecondWhenFull ?? defaults.minBytesPerSecondWhenFull,
    }
    this.#serve()
  }

  /**
   * A place, to be given back with `release`.
   *
   * @throws UploadError `too-many-uploads`; the signal's reason when it aborts first.
   */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#hasRoom && this.#waiters.length === 0) this.#used++
    else await this.#wait(signal)
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiters.length >= this.#limits.queued) throw tooManyUploads(this.#limits)
      const leave = (reason: unknown) => {
        settle()
        this.#waiters.splice(this.#waiters.indexOf(grant), 1)
        reject(reason)
      }
      const onAbort = () => leave(signal.reason)
      const timer = setTimeout(() => leave(tooManyUploads(this.#limits)), this.#limits.queueSeconds * 1000)
      signal.addEventListener('abort', onAbort)
      const settle = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
      const grant = () => {
        settle()
        resolve()
      }
      this.#waiters.push(grant)
    })
  }

  release(): void {
    this.#used--
    this.#serve()
  }

  get #hasRoom(): boolean {
    return this.#used < this.#limits.concurrent
  }

  #serve(): void {
    while (this.#hasRoom && this.#waiters.length > 0) {
      this.#used++
      this.#waiters.shift()?.()
    }
  }
}

export const uploadSlots = sharedState('uploadSlots', () => new UploadSlots())

/**
 * Bounds what the uploads of this process take together. Requests beyond those at once wait with their bodies unread.
 * When too many wait, or one waits too long, it is refused with 503 `too-many-uploads` and a `Retry-After`. An option
 * that is not given has its default. `uploadFromStream` does not count: it may be called within a request that has its
 * place already.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`.
 */
export function setUploadLimits(limits: UploadLimits): void {
  checkOptions('setUploadLimits', limits, checks)
  uploadSlots.limit(limits)
  fieldMemory.limitBytes = limits.fieldMemoryBytes ?? defaultFieldMemoryBytes
}

function tooManyUploads({ concurrent, queueSeconds }: SlotLimits): UploadError {
  return new UploadError(
    'too-many-uploads',
    `${concurrent} uploads are at work, as many as the limit allows; try again in ${queueSeconds} seconds`,
    { context: { limit: 'concurrent', value: concurrent, retryAfterSeconds: queueSeconds } },
  )
}
