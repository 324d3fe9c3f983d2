import { formatBytes, KiB, MiB, TiB } from '../core/bytes.js'
import { type S3FileErrorCode, UploadError } from '../core/errors.js'
import { type OptionCheck, option } from '../core/options.js'

/**
 * How much a form may hold, and how slowly it may come. All are inclusive; beyond one the upload ends with an error
 * that names it, with 413 for a size or a count and 408 for time.
 */
export interface FormLimits {
  /** Files, at least 1. @default 1 for `uploadFromRequest`, 10 for `uploadFormFromRequest` */
  files?: number
  /** Fields that are no files. @default 100 */
  fields?: number
  /** Files and fields together, at least 1. @default 1000 */
  parts?: number
  /** Bytes of one field's value. @default 1_048_576 (1 MiB) */
  fieldSizeBytes?: number
  /** Bytes of all fields' values together. @default 2_097_152 (2 MiB) */
  allFieldsSizeBytes?: number
  /** Bytes of one field's name, at least 1. @default 100 */
  fieldNameSizeBytes?: number
  /** Bytes of one file's name as it is sent, path and all; at least 1. @default 1024 */
  fileNameSizeBytes?: number
  /** Bytes of one part's headers, 256 to 16 KiB. @default 8192 (8 KiB) */
  partHeaderSizeBytes?: number
  /** Header lines of one part, at least 1. @default 32 */
  partHeaders?: number
  /** Bytes before the first part. @default 1024 (1 KiB) */
  preambleSizeBytes?: number
  /** Bytes after the end of the form, beside a line end. @default 1024 (1 KiB) */
  epilogueSizeBytes?: number
  /** Bytes of the whole body, form and all; at least 1. @default 5_497_558_138_880 (5 TiB, as much as S3 takes in an object) */
  requestSizeBytes?: number
  /** Seconds without data, 1 to 86,400, of the time in which the upload is ready to read. @default 30 */
  idleTimeoutSeconds?: number
  /**
   * The least that must come on average in every `idleTimeoutSeconds` of the time in which the upload is ready to read;
   * 0 for no such limit. @default 1024 (1 KiB)
   */
  minBytesPerSecond?: number
}

export type ResolvedFormLimits = Required<FormLimits>

export const formLimitChecks: Record<keyof FormLimits, OptionCheck> = {
  files: option.integer(1),
  fields: option.integer(0),
  parts: option.integer(1),
  fieldSizeBytes: option.integer(0),
  allFieldsSizeBytes: option.integer(0),
  fieldNameSizeBytes: option.integer(1),
  fileNameSizeBytes: option.integer(1),
  partHeaderSizeBytes: option.integer(256, 16 * KiB), // As Node takes of a request's.
  partHeaders: option.integer(1),
  preambleSizeBytes: option.integer(0),
  epilogueSizeBytes: option.integer(0),
  requestSizeBytes: option.integer(1),
  idleTimeoutSeconds: option.integer(1, 86_400),
  minBytesPerSecond: option.integer(0),
}

export function resolveLimits(limits: FormLimits, defaultFiles: number): ResolvedFormLimits {
  return {
    files: limits.files ?? defaultFiles,
    fields: limits.fields ?? 100,
    parts: limits.parts ?? 1000,
    fieldSizeBytes: limits.fieldSizeBytes ?? MiB,
    allFieldsSizeBytes: limits.allFieldsSizeBytes ?? 2 * MiB,
    fieldNameSizeBytes: limits.fieldNameSizeBytes ?? 100,
    fileNameSizeBytes: limits.fileNameSizeBytes ?? KiB,
    partHeaderSizeBytes: limits.partHeaderSizeBytes ?? 8 * KiB,
    partHeaders: limits.partHeaders ?? 32,
    preambleSizeBytes: limits.preambleSizeBytes ?? KiB,
    epilogueSizeBytes: limits.epilogueSizeBytes ?? KiB,
    requestSizeBytes: limits.requestSizeBytes ?? 5 * TiB,
    idleTimeoutSeconds: limits.idleTimeoutSeconds ?? 30,
    minBytesPerSecond: limits.minBytesPerSecond ?? KiB,
  }
}

export function tooMany(what: 'files' | 'fields' | 'parts', limits: ResolvedFormLimits): UploadError {
  return new UploadError(`too-many-${what}`, `the form has more ${what} than the limit of ${limits[what]}`, {
    context: { limit: what, value: limits[what] },
  })
}

export function tooManyPartHeaders({ partHeaders }: ResolvedFormLimits): UploadError {
  return new UploadError(
    'part-header-too-large',
    `a part of the form has more header lines than the limit of ${partHeaders}`,
    { context: { limit: 'partHeaders', value: partHeaders } },
  )
}

const codeByLimit = {
  requestSizeBytes: 'request-too-large',
  preambleSizeBytes: 'request-too-large',
  epilogueSizeBytes: 'request-too-large',
  partHeaderSizeBytes: 'part-header-too-large',
  fileNameSizeBytes: 'file-name-too-long',
  fieldSizeBytes: 'field-too-large',
  fieldNameSizeBytes: 'field-too-large',
  allFieldsSizeBytes: 'field-too-large',
} as const satisfies { [Limit in keyof FormLimits]: S3FileErrorCode }

/** `what` names what is too large, for the message. */
export function tooLarge(
  limit: keyof typeof codeByLimit,
  limits: ResolvedFormLimits,
  what: string,
): UploadError {
  return new UploadError(
    codeByLimit[limit],
    `${what} is larger than the limit of ${formatBytes(limits[limit])}`,
    { context: { limit, value: limits[limit] } },
  )
}

/** A client's name as it is fit for a message. */
export function shortName(name: string): string {
  return name.length > 50 ? `${name.slice(0, 50)}…` : name
}
