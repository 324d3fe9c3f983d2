import { pipeline, type Readable, Transform } from 'node:stream'
import { ConfigurationError, isS3FileError, UploadError } from '../core/errors.js'
import type { FileInspector, Inspection } from '../core/file-inspector.js'
import { describeFile, type SniffedFile } from '../core/file-policy.js'

/** One file as it passes all inspectors: its stream ends only when each of them has agreed. */
export class FileInspection {
  readonly #file: SniffedFile
  /** Those that have not come to their end. */
  readonly #open = new Set<Inspection>()
  /** What an inspector has found instead of the storage's checksum. */
  checksum: string | undefined

  private constructor(file: SniffedFile) {
    this.#file = file
  }

  /**
   * Asks the inspectors for the file; they may want to connect somewhere.
   *
   * @throws UploadError `rejected-by-inspector`, `inspector-failed`, or another error of this package that one throws.
   */
  static async start(
    inspectors: readonly FileInspector[],
    file: SniffedFile,
    signal: AbortSignal,
  ): Promise<FileInspection> {
    const inspection = new FileInspection(file)
    const { name, contentType, field } = file
    const refusal = (reason: string, context: Record<string, unknown> = {}) =>
      new UploadError('rejected-by-inspector', `${describeFile(file)} is refused: ${reason}`, {
        context: { field, name, ...context },
      })
    try {
      for (const inspector of inspectors) {
        const opened = await inspector({ name, contentType, field, signal, refusal })
        inspection.#open.add(opened)
        signal.throwIfAborted()
      }
      return inspection
    } catch (error) {
      inspection.abort()
      throw inspection.#failure(error)
    }
  }

  /** The same bytes, each chunk when all inspectors have taken it. */
  pass(source: Readable): Readable {
    const inspections = [...this.#open]
    const passing = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        const writes = inspections.map(async (inspection) => inspection.write(chunk))
        Promise.all(writes).then(
          () => done(null, chunk),
          (error) => done(this.#failure(error)),
        )
      },
      flush: (done) => {
        Promise.all(inspections.map((inspection) => this.#end(inspection))).then(
          () => done(),
          (error) => done(this.#failure(error)),
        )
      },
    })
    // Whichever fails ends the other; who reads sees why.
    pipeline(source, passing, () => undefined)
    return passing
  }

  async #end(inspection: Inspection): Promise<void> {
    const result = await inspection.end()
    this.#open.delete(inspection)
    const checksum = result?.checksum
    if (checksum === undefined) return
    if (typeof checksum !== 'string' || !/^[a-z0-9-]+:./.test(checksum) || checksum.length > 255) {
      throw new ConfigurationError(
        'invalid-value',
        `an inspector's checksum is 'algorithm:value' of 255 characters at most, not '${checksum}'`,
      )
    }
    this.checksum = checksum
  }

  /** The upload has failed. */
  abort(): void {
    for (const inspection of this.#open) {
      try {
        inspection.abort?.()
      } catch {
        // The error that is on its way says what was wrong first.
      }
    }
    this.#open.clear()
  }

  #failure(error: unknown): Error {
    if (isS3FileError(error)) return error
    const { name, field } = this.#file
    return new UploadError('inspector-failed', `${describeFile(this.#file)} could not be inspected`, {
      cause: error,
      context: { field, name },
    })
  }
}
