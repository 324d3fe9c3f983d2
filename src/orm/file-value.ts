import { ConfigurationError } from '../core/errors.js'
import type { FileField } from '../core/file-field.js'
import { isLongerThan } from '../core/object-key.js'
import { isS3File, type S3File } from '../core/s3-file.js'

/** @throws ConfigurationError `invalid-value` for anything but a file. */
export function assertFile(field: FileField, value: unknown): asserts value is S3File {
  if (!isS3File(value)) throw notAFile(field, value)
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

/** Says what came in place of a file, and what to do. */
export function notAFile({ label, isMultiple }: FileField, value: unknown): ConfigurationError {
  const wanted = isMultiple ? 'a list of S3Files' : 'an S3File or null'
  return new ConfigurationError('invalid-value', `${label} takes ${wanted}, not ${describe(value)}`)
}

function describe(value: unknown): string {
  if (value instanceof Promise) return 'a Promise: await the upload before you assign its file'
  if (typeof value === 'string') return `the text '${value.slice(0, 100)}'`
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return 'bytes: upload them with uploadFromStream() and assign what it returns'
  }
  if (isS3File(value)) return 'one file: put it into a list'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) {
    return "a plain object, such as a client's JSON: upload the file and assign what the upload returns"
  }
  return String(value)
}
