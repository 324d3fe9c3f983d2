import { ConfigurationError, isS3FileError } from '../core/errors.js'
import { assertAccepted } from '../core/file-policy.js'
import { canonicalType, isKnownType, unknownType } from '../core/media-types.js'
import { refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { type FileColumn, filesIn } from './file-columns.js'
import { isSameValue } from './loaded-files.js'

/**
 * Holds files that come into a row against what the field says of size, type and storage, as far as a file knows its own: an
 * upload `into` the field has passed these rules, one of another field, or of none, has not.
 *
 * @param known values that the row has, or has been loaded with: the rules may have become stricter since they were saved.
 * @throws ConfigurationError `invalid-value` naming field, rule and value.
 */
export function assertRules(column: FileColumn, value: unknown, known: readonly unknown[] = []): void {
  const knownFiles = new Map(known.flatMap(filesIn).map((file) => [refId(file), file]))
  for (const file of filesIn(value)) {
    if (isSameValue(knownFiles.get(refId(file)), file)) continue
    assertStorage(column, file)
    if (!column.field.checksOnSave) continue
    assertSize(column, file)
    assertType(column, file)
  }
}

/**
 * A field that names no storage takes files of any; uploads go to the default one. With `layout: 'key'` the row cannot say
 * that it is another storage, and would refer to another object.
 */
function assertStorage(column: FileColumn, file: S3File): void {
  const { rules, layout, checksOnSave } = column.field
  const isKey = layout === 'key'
  const { storage = isKey ? 'default' : file.storage } = rules
  if (file.storage === storage || (!checksOnSave && !isKey)) return
  const is = `is in storage '${file.storage}'`
  throw broken(column, file, { rule: 'storage', wanted: storage, value: file.storage, is })
}

function assertSize(column: FileColumn, file: S3File): void {
  const { maxSizeBytes = Number.POSITIVE_INFINITY, minSizeBytes = 0 } = column.field.rules
  const { size } = file
  if (size === null) return
  const is = `has ${size} bytes`
  if (size > maxSizeBytes)
    throw broken(column, file, { rule: 'maxSizeBytes', wanted: maxSizeBytes, value: size, is })
  if (size < minSizeBytes)
    throw broken(column, file, { rule: 'minSizeBytes', wanted: minSizeBytes, value: size, is })
}

function assertType(column: FileColumn, file: S3File): void {
  const { accept } = column.field.rules
  if (accept === undefined || file.contentType === null) return
  const contentType = canonicalType(file.contentType.split(';', 1)[0]?.trim() ?? '')
  // The upload was accepted by what the client claimed, which no file remembers.
  if (contentType === unknownType && accept.some((item) => !isKnownType(canonicalType(item)))) return
  const policy = { accept, maxSizeBytes: undefined, minSizeBytes: 0 }
  const sniffed = { name: file.name, declaredType: contentType, sniffedType: contentType, contentType }
  try {
    assertAccepted(policy, sniffed)
  } catch (error) {
    if (!isS3FileError(error, 'type-not-accepted')) throw error
    const is = `is of type ${file.contentType}`
    throw broken(column, file, { rule: 'accept', wanted: accept.join(', '), value: file.contentType, is })
  }
}

function broken(
  { column, propertyPath }: FileColumn,
  { name }: S3File,
  { rule, wanted, value, is }: { rule: string; wanted: string | number; value: unknown; is: string },
): ConfigurationError {
  const field = `${column.entityMetadata.name}.${propertyPath}`
  return new ConfigurationError(
    'invalid-value',
    `${field} has ${rule}: ${wanted}, and the file '${name}' ${is}. Upload it into: [${field.replace('.', ", '")}'], or, ` +
      'where files of other fields come here on purpose, give the field the option checkOnSave: false',
    { context: { field, rule, value } },
  )
}
