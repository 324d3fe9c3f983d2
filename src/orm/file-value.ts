import { ConfigurationError, type S3FileError, UploadError } from '../core/errors.js'
import type { FileField } from '../core/file-field.js'
import { isLongerThan } from '../core/object-key.js'
import { isS3File, type S3File } from '../core/s3-file.js'

/** @throws UploadError `not-a-file`, ConfigurationError `invalid-value`, for anything but a file. */
export function assertFile(field: FileField, value: unknown): asserts value is S3File {
  if (!isS3File(value)) throw notAFile(field, value)
}

/** @throws UploadError `not-a-file`, ConfigurationError `invalid-value`, for anything but a list of files. */
export function assertFiles(field: FileField, value: unknown): asserts value is S3File[] {
  if (!Array.isArray(value)) throw notAFile(field, value)
  const index = value.findIndex((item) => !isS3File(item))
  if (index !== -1) throw refusal(`${field.label}[${index}] takes an S3File`, field, value[index])
}

/**
 * Makes sure that a column takes a part of a file whole: a database may cut what is too long.
 *
 * @throws ConfigurationError `invalid-value`.
 */
export function assertFits({ label }: FileField, part: string, value: unknown, maxLength = Infinity): void {
  if (typeof value !== 'string' || !isLongerThan(value, maxLength)) return
  throw new ConfigurationError(
    'invalid-value',
    `${label}: the column of '${part}' has room for ${maxLength} characters, too few for '${value.slice(0, 100)}…'`,
    { context: { part, maxLength } },
  )
}

/** Says what came in place of a file, and what to do: 400 for what a client's JSON may have brought. */
export function notAFile(field: FileField, value: unknown): S3FileError {
  return refusal(
    `${field.label} takes ${field.isMultiple ? 'a list of S3Files' : 'an S3File or null'}`,
    field,
    value,
  )
}

function refusal(wanted: string, { label }: FileField, value: unknown): S3FileError {
  const { came, remedy = 'assign what an upload returns' } = mistakeOf(value)
  const message = `${wanted}, not ${came}: ${remedy}`
  const options = { context: { field: label } }
  return mayBeJson(value)
    ? new UploadError('not-a-file', message, options)
    : new ConfigurationError('invalid-value', message, options)
}

interface Mistake {
  came: string
  remedy?: string
}

function mistakeOf(value: unknown): Mistake {
  if (value === null || value === undefined) return { came: `${value}`, remedy: 'leave it out of the list' }
  if (typeof value === 'string') return { came: `the text '${shorten(value)}'` }
  if (typeof value === 'function') return { came: 'a function' }
  if (typeof value !== 'object') return { came: `${String(value)} (${typeof value})` }
  if (isS3File(value)) return { came: 'one file', remedy: 'put it into a list' }
  if (Array.isArray(value)) {
    const remedy = 'assign one file, or declare the field with multiple: true'
    return { came: `a list of ${value.length}`, remedy }
  }
  return mistakenObject(value as Record<string, unknown>)
}

function mistakenObject(value: Record<string, unknown>): Mistake {
  const kind = value.constructor?.name
  if (typeof value.then === 'function') {
    return { came: 'a Promise', remedy: 'await the upload, and assign what it resolves to' }
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Blob) {
    const remedy = 'upload them with uploadFromStream(), and assign what it returns'
    return { came: `bytes (${kind})`, remedy }
  }
  if (Symbol.asyncIterator in value) {
    const remedy = 'upload it with uploadFromStream(), and assign what it returns'
    return { came: `a stream (${kind})`, remedy }
  }
  if (typeof value.fieldname === 'string' && typeof value.originalname === 'string') {
    const remedy = 'take Multer off this route, and assign what uploadFromRequest(req) returns'
    return { came: `a file of Multer ('${shorten(value.originalname)}')`, remedy }
  }
  if (!isPlain(value)) return { came: `an object of class ${kind}` }
  if ('key' in value) {
    const remedy = 'assign what an upload returns; new S3File(record) names an object that is there already'
    return { came: 'a plain object with a key', remedy }
  }
  if (typeof value.name === 'string' && 'contentType' in value) {
    const remedy =
      'to keep the file leave the property out, to replace it assign what an upload returns, to clear it assign null'
    return { came: `the JSON of a file ('${shorten(value.name)}')`, remedy }
  }
  return { came: 'a plain object' }
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Whether a value has the form of parsed JSON, looked at one level deep: a Buffer, say, is no JSON. */
function mayBeJson(value: unknown): boolean {
  const isJson = (part: unknown) =>
    part === null ||
    ['string', 'number', 'boolean'].includes(typeof part) ||
    (typeof part === 'object' && (Array.isArray(part) || isPlain(part)))
  return isJson(value) && (typeof value !== 'object' || Object.values(value ?? {}).every(isJson))
}
