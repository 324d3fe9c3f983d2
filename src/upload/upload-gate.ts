import { Transform, type TransformCallback } from 'node:stream'
import { formatBytes } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import {
  assertNotTooLarge,
  assertNotTooSmall,
  describeFile,
  type FilePolicy,
  type IncomingFile,
} from '../core/file-policy.js'

/**
 * What a file's bytes pass on their way to the storage. It ends only for a file that may be stored: a storage sees
 * an error instead of an end otherwise, and so never completes the object.
 */
export class UploadGate extends Transform {
  readonly #policies: readonly FilePolicy[]
  readonly #file: IncomingFile
  readonly #announcedBytes: number | undefined
  readonly #onBytes: ((bytes: number) => void) | undefined
  #bytes = 0

  /** `announcedBytes` is the length that the file must have, where one was given. */
  constructor(
    policies: readonly FilePolicy[],
    file: IncomingFile,
    announcedBytes?: number,
    onBytes?: (bytes: number) => void,
  ) {
    super()
    this.#policies = policies
    this.#file = file
    this.#announcedBytes = announcedBytes
    this.#onBytes = onBytes
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#bytes += chunk.length
    try {
      for (const policy of this.#policies) assertNotTooLarge(policy, this.#file, this.#bytes)
      if (this.#announcedBytes !== undefined && this.#bytes > this.#announcedBytes)
        throw this.#wrongSize('more')
      this.#onBytes?.(this.#bytes)
      done(null, chunk)
    } catch (error) {
      done(error as Error)
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      for (const policy of this.#policies) assertNotTooSmall(policy, this.#file, this.#bytes)
      if (this.#announcedBytes !== undefined && this.#bytes < this.#announcedBytes)
        throw this.#wrongSize('fewer')
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  #wrongSize(what: 'more' | 'fewer'): UploadError {
    const announced = this.#announcedBytes as number
    return new UploadError(
      'size-mismatch',
      `${describeFile(this.#file)} has ${what} bytes than the ${formatBytes(announced)} that were announced`,
      { context: { name: this.#file.name, sizeBytes: announced } },
    )
  }
}
