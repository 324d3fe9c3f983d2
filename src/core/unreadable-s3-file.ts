import { FileRecordError } from './errors.js'
import { copyAsItself, showProperties } from './file-copies.js'
import { recordProperties } from './file-record.js'
import { type FileJson, isUnreadable, S3File, unreadableBrand } from './s3-file.js'

/**
 * Stands for a column whose value is no file record, so that one bad row does not fail a whole `find()`. Whoever
 * touches it gets the error; saving the entity leaves the column as it is.
 */
export class UnreadableS3File extends S3File {
  readonly #raw: unknown
  readonly #column: string
  readonly #reason: string
  #row = ''

  /** `column` is `Entity.property` as far as it is known, `reason` a sentence such as "its 'key' is missing". */
  constructor(raw: unknown, column: string, reason: string) {
    super({ key: 'unreadable' })
    this.#raw = raw
    this.#column = column
    this.#reason = reason
    showProperties(this, { error: this.error })
    Object.freeze(this)
  }

  /** What the driver gave. */
  get raw(): unknown {
    return this.#raw
  }

  /** As JSON shows it. */
  get error(): string {
    return 'invalid-record'
  }

  get [unreadableBrand](): true {
    return true
  }

  /** Says which row it is, once that is known. */
  locate(row: string): void {
    this.#row = row
  }

  toError(): FileRecordError {
    const row = this.#row === '' ? '' : ` of row ${this.#row}`
    return new FileRecordError(
      'invalid-record',
      `${this.#column}${row} holds no file record: ${this.#reason}`,
      {
        context: { column: this.#column, row: this.#row },
      },
    )
  }

  override equals(other: unknown): boolean {
    const isOther = typeof other === 'object' && other !== null && isUnreadable(other)
    return isOther && JSON.stringify(other.raw) === JSON.stringify(this.raw)
  }

  override toJSON(): FileJson & { error: string } {
    return { name: '', size: null, contentType: null, error: this.error }
  }
}

for (const property of recordProperties) {
  Object.defineProperty(UnreadableS3File.prototype, property, {
    get(this: UnreadableS3File) {
      throw this.toError()
    },
  })
}
copyAsItself(UnreadableS3File)
