import type { UploadError } from './errors.js'

/** A file whose bytes are about to pass, as an inspector is told of it. */
export interface InspectedFile {
  /** Already safe to show. */
  name: string
  /** What its first bytes are, and what is stored. */
  contentType: string
  /** The form field it came in; undefined for `uploadFromStream`. */
  field: string | undefined
  /** Aborted when the upload has failed: nobody waits for the inspector any more. */
  signal: AbortSignal
  /** The error to throw for a file that must not be stored; `reason` ends the sentence "file 'a.pdf' is refused: …". */
  refusal(reason: string, context?: Record<string, unknown>): UploadError
}

/** What an inspector found out about a file that may be stored. */
export interface InspectionResult {
  /** `algorithm:value`; takes the place of the storage's own in `S3File.checksum`. */
  checksum?: string
}

/** One file as it passes an inspector. */
export interface Inspection {
  /**
   * Takes the next bytes, in order and one call at a time: the upload goes on when the promise resolves. They are the
   * upload's own, not a copy: they must not be changed, and to keep them keeps their memory.
   */
  write(chunk: Buffer): void | Promise<void>
  /** All bytes have come. The file is stored when this has resolved for every inspector, and never when one throws. */
  // biome-ignore lint/suspicious/noConfusingVoidType: what an asynchronous function without a result gives.
  end(): void | InspectionResult | Promise<void | InspectionResult>
  /** The upload has failed, here or elsewhere; called at most once, and not after `end()` has resolved. */
  abort?(): void
}

/**
 * Looks at each file while it is uploaded. To refuse one, throw `file.refusal(reason)` in any of the calls: the upload
 * ends with 422. Whatever else it throws ends it with 503: a file that could not be inspected is not stored.
 */
export type FileInspector = (file: InspectedFile) => Inspection | Promise<Inspection>
