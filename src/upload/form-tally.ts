import { type ResolvedFormLimits, shortName, tooLarge, tooMany } from './form-limits.js'
import type { PartHeader } from './part-header.js'

/** Counts what a form holds, part by part, against its limits. */
export class FormTally {
  readonly #limits: ResolvedFormLimits
  #parts = 0
  #files = 0
  #fields = 0
  #allFieldsBytes = 0

  constructor(limits: ResolvedFormLimits) {
    this.#limits = limits
  }

  /** @throws UploadError `too-many-parts`, `too-many-fields`, `field-too-large`, `file-name-too-long`. */
  addPart({ name, filename, isFile }: PartHeader): void {
    if (Buffer.byteLength(name) > this.#limits.fieldNameSizeBytes) {
      throw tooLarge('fieldNameSizeBytes', this.#limits, `the name of field '${shortName(name)}'`)
    }
    if (filename !== undefined && Buffer.byteLength(filename) > this.#limits.fileNameSizeBytes) {
      throw tooLarge('fileNameSizeBytes', this.#limits, `the file name '${shortName(filename)}'`)
    }
    if (++this.#parts > this.#limits.parts) throw tooMany('parts', this.#limits)
    if (!isFile && ++this.#fields > this.#limits.fields) throw tooMany('fields', this.#limits)
  }

  /** @throws UploadError `too-many-files`. */
  addFile(): void {
    if (++this.#files > this.#limits.files) throw tooMany('files', this.#limits)
  }

  /**
   * @param bytes of the field's value so far, `more` of which are new.
   * @throws UploadError `field-too-large`.
   */
  addToField(name: string, bytes: number, more: number): void {
    this.#allFieldsBytes += more
    if (bytes > this.#limits.fieldSizeBytes) {
      throw tooLarge('fieldSizeBytes', this.#limits, `field '${shortName(name)}'`)
    }
    if (this.#allFieldsBytes > this.#limits.allFieldsSizeBytes) {
      throw tooLarge('allFieldsSizeBytes', this.#limits, `the sum of all fields up to '${shortName(name)}'`)
    }
  }
}
