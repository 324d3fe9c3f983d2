import { randomUUID } from 'node:crypto'
import { isS3FileError } from '../core/errors.js'
import {
  channels,
  codeOf,
  publish,
  publishCleanupFailure,
  type UploadCompleteEvent,
  type UploadEvent,
} from '../core/events.js'
import type { StoredPart } from '../core/file-storage.js'

/** Tells the subscribers of one upload: that it starts, its parts, and how it ends. */
export class UploadTrace {
  readonly #upload: UploadEvent
  readonly #startedAt = performance.now()
  #stored: Pick<UploadCompleteEvent, 'contentType' | 'size' | 'durationMs'> | undefined

  constructor(upload: Omit<UploadEvent, 'id' | 'key'>) {
    this.#upload = { id: randomUUID(), key: null, ...upload }
  }

  /** Runs `work` with what subscribers have bound to the channel by `bindStore`. */
  start<Result>(work: () => Result): Result {
    return channels['upload:start'].runStores({ ...this.#upload }, work)
  }

  get key(): string | null {
    return this.#upload.key
  }

  set key(key: string) {
    this.#upload.key = key
  }

  part(stored: StoredPart): void {
    publish('upload:part', () => {
      const { number, ...part } = stored
      return { ...this.#upload, partNumber: number, ...part }
    })
  }

  /** The object is there; whether its call succeeds is not known yet. */
  stored(contentType: string, size: number): void {
    this.#stored = { contentType, size, durationMs: this.#durationMs }
  }

  /** The storage could not take back what it had begun under the key. */
  leftBehind(): void {
    const { storage, key } = this.#upload
    if (key !== null) publishCleanupFailure(storage, key, undefined)
  }

  complete(): void {
    const stored = this.#stored
    if (stored !== undefined) publish('upload:complete', () => ({ ...this.#upload, ...stored }))
  }

  fail(error: unknown): void {
    const isAbort = isS3FileError(error) && error.statusCode === 499
    publish(isAbort ? 'upload:abort' : 'upload:fail', () => ({
      ...this.#upload,
      errorCode: codeOf(error),
      durationMs: this.#durationMs,
    }))
  }

  get #durationMs(): number {
    return performance.now() - this.#startedAt
  }
}
