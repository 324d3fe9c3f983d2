import type { FieldShare } from './field-memory.js'
import { type ResolvedFormLimits, shortName, tooLarge, tooMany } from './form-limits.js'
import type { PartHeader } from './part-header.js'

/** What a field takes beside its name and value: the objects that hold them. */
const fieldOverheadBytes = 256

/** A text takes up to two bytes for each that came, and so does the buffer in which it comes. */
const memoryPerByte = 2

/** Counts what a form holds, part by part, against its limits and those of the process. */
export class FormTally {
  readonly #limits: ResolvedFormLimits
  readonly #share: FieldShare | undefined
  #parts = 0
  #files = 0
  #fields = 0
  #allFieldsBytes = 0

  /** @param share where the fields are kept; undefined when nobody wants them. */
  constructor(limits: ResolvedFormLimits, share: FieldShare | undefined) {
    this.#limits = limits
    this.#share = share
  }

  /** @throws UploadError `too-many-parts`, `too-many-fields`, `field-too-large`, `file-name-too-long`. */
  addPart({ name, filename, isFile }: PartHeader): void {
    const nameBytes = Buffer.byteLength(name)
    if (nameBytes > this.#limits.fieldNameSizeBytes) {
      throw tooLarge('fieldNameSizeBytes', this.#limits, `the name of field '${shortName(name)}'`)
    }
    if (filename !== undefined && Buffer.byteLength(filename) > this.#limits.fileNameSizeBytes) {
      throw tooLarge('fileNameSizeBytes', this.#limits, `the file name '${shortName(filename)}'`)
    }
    if (++this.#parts > this.#limits.parts) throw tooMany('parts', this.#limits)
    if (!isFile && ++this.#fields > this.#limits.fields) throw tooMany('fields', this.#limits)
    if (!isFile) this.#share?.add(fieldOverheadBytes + memoryPerByte * nameBytes)
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
    this.#share?.add(memoryPerByte * more)
  }
}
