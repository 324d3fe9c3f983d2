import type { ValueTransformer } from 'typeorm'
import { isS3FileError } from '../core/errors.js'
import { type FileField, fieldOfTransformer } from '../core/file-field.js'
import { isS3File, isUnreadable, S3File } from '../core/s3-file.js'
import { UnreadableS3File } from '../core/unreadable-s3-file.js'
import { assertFile, assertFiles, assertFits } from './file-value.js'

/**
 * Between a column of one value and `S3File`. It carries its field, which is how an EntitySchema's columns, which
 * have no class to look it up by, are found.
 */
abstract class FileTransformer implements ValueTransformer {
  protected readonly field: FileField

  constructor(field: FileField) {
    this.field = field
  }

  get [fieldOfTransformer](): FileField {
    return this.field
  }

  to(value: unknown): unknown {
    if (value === undefined) return undefined
    if (value === null) return this.emptyValue()
    if (isS3File(value) && isUnreadable(value)) return value.raw
    return this.write(value)
  }

  from(raw: unknown): S3File | null {
    if (raw === null || raw === undefined || raw === '') return null
    try {
      return this.read(raw)
    } catch (error) {
      const reason = isS3FileError(error) ? error.message : 'it is not JSON'
      return new UnreadableS3File(raw, this.field.label, reason)
    }
  }

  protected emptyValue(): null | '' {
    return null
  }

  protected abstract write(value: unknown): unknown

  /** Throws for what is no file. */
  protected abstract read(raw: unknown): S3File
}

/** `layout: 'json'`: the whole record in one column, of a JSON type or of text. */
export class JsonFileTransformer extends FileTransformer {
  readonly #isText: boolean

  constructor(field: FileField, isText: boolean) {
    super(field)
    this.#isText = isText
  }

  protected write(value: unknown): unknown {
    assertFile(this.field, value)
    const record = value.toRecord()
    return this.#isText ? JSON.stringify(record) : record
  }

  protected read(raw: unknown): S3File {
    return new S3File(typeof raw === 'string' ? JSON.parse(raw) : (raw as never))
  }
}

/** `multiple: true`: a list of records in one column, of a JSON type or of text. */
export class JsonFilesTransformer implements ValueTransformer {
  readonly #one: JsonFileTransformer
  readonly #isText: boolean

  constructor(field: FileField, isText: boolean) {
    this.#one = new JsonFileTransformer(field, false)
    this.#isText = isText
  }

  get [fieldOfTransformer](): FileField {
    return this.#one[fieldOfTransformer]
  }

  to(value: unknown): unknown {
    if (value === undefined || value === null) return value
    assertFiles(this[fieldOfTransformer], value)
    const records = value.map((file) => this.#one.to(file))
    return this.#isText ? JSON.stringify(records) : records
  }

  from(raw: unknown): S3File[] | null {
    if (raw === null || raw === undefined || raw === '') return null
    let list: unknown = raw
    try {
      if (typeof raw === 'string') list = JSON.parse(raw)
    } catch {
      // It is no list, and so one unreadable file.
    }
    return (Array.isArray(list) ? list : [list]).map(
      (record) => this.#one.from(record ?? 'no file') as S3File,
    )
  }
}

/** `layout: 'key'`: the key alone. What it does not keep is null, but for the name, which is the key's last part. */
export class KeyFileTransformer extends FileTransformer {
  readonly #storage: string
  readonly #isNullable: boolean

  constructor(field: FileField, isNullable: boolean) {
    super(field)
    this.#storage = field.rules.storage ?? 'default'
    this.#isNullable = isNullable
  }

  /** Django's way of saying "no file" in a column that may not be null. */
  protected override emptyValue(): null | '' {
    return this.#isNullable ? null : ''
  }

  protected write(value: unknown): unknown {
    // A text is a key to look for: `where: { file: Like('invoices/%') }`.
    if (typeof value === 'string') return value
    assertFile(this.field, value)
    assertFits(this.field, 'key', value.key, this.field.maxKeyLength)
    return value.key
  }

  protected read(raw: unknown): S3File {
    return new S3File({ key: raw as string, storage: this.#storage })
  }
}
