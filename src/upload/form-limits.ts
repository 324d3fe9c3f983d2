import { formatBytes, MiB } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import { option } from '../core/options.js'

/** How much a form may hold. All are inclusive; beyond one the upload ends with 413 and its name. */
export interface FormLimits {
  /** Files. @default 1 for `uploadFromRequest`, 10 for `uploadFormFromRequest` */
  files?: number
  /** Fields that are no files. @default 100 */
  fields?: number
  /** Files and fields together. @default 1000 */
  parts?: number
  /** Bytes of one field's value. @default 1_048_576 (1 MiB) */
  fieldSizeBytes?: number
  /** Bytes of all fields' values together. @default 2_097_152 (2 MiB) */
  allFieldsSizeBytes?: number
  /** Bytes of one field's name. @default 100 */
  fieldNameSizeBytes?: number
  /** Bytes of the whole body, form and all. @default none */
  requestSizeBytes?: number
}

export interface ResolvedFormLimits {
  files: number
  fields: number
  parts: number
  fieldSizeBytes: number
  allFieldsSizeBytes: number
  fieldNameSizeBytes: number
  requestSizeBytes: number
}

export const formLimitChecks = {
  files: option.integer(1),
  fields: option.integer(0),
  parts: option.integer(1),
  fieldSizeBytes: option.integer(0),
  allFieldsSizeBytes: option.integer(0),
  fieldNameSizeBytes: option.integer(1),
  requestSizeBytes: option.integer(1),
}

export function resolveLimits(limits: FormLimits, defaultFiles: number): ResolvedFormLimits {
  return {
    files: limits.files ?? defaultFiles,
    fields: limits.fields ?? 100,
    parts: limits.parts ?? 1000,
    fieldSizeBytes: limits.fieldSizeBytes ?? MiB,
    allFieldsSizeBytes: limits.allFieldsSizeBytes ?? 2 * MiB,
    fieldNameSizeBytes: limits.fieldNameSizeBytes ?? 100,
    requestSizeBytes: limits.requestSizeBytes ?? Number.POSITIVE_INFINITY,
  }
}

export function tooMany(what: 'files' | 'fields' | 'parts', limits: ResolvedFormLimits): UploadError {
  return new UploadError(`too-many-${what}`, `the form has more ${what} than the limit of ${limits[what]}`, {
    context: { limit: what, value: limits[what] },
  })
}

export function requestTooLarge({ requestSizeBytes }: ResolvedFormLimits): UploadError {
  const limit = formatBytes(requestSizeBytes)
  return new UploadError('request-too-large', `the request is larger than the limit of ${limit}`, {
    context: { limit: 'requestSizeBytes', value: requestSizeBytes },
  })
}

export function fieldTooLarge(
  limit: 'fieldSizeBytes' | 'fieldNameSizeBytes' | 'allFieldsSizeBytes',
  limits: ResolvedFormLimits,
  name: string,
): UploadError {
  const shortName = name.length > 50 ? `${name.slice(0, 50)}…` : name
  const what = {
    fieldSizeBytes: `field '${shortName}'`,
    fieldNameSizeBytes: `the name of field '${shortName}'`,
    allFieldsSizeBytes: `the sum of all fields up to '${shortName}'`,
  }[limit]
  return new UploadError(
    'field-too-large',
    `${what} is larger than the limit of ${formatBytes(limits[limit])}`,
    {
      context: { limit, value: limits[limit] },
    },
  )
}
