import { formatBytes } from './bytes.js'
import { ConfigurationError, UploadError } from './errors.js'
import { extensionOf } from './file-name.js'

/** What a field, or a call, lets in. */
export interface FilePolicy {
  maxSizeBytes: number | undefined
  minSizeBytes: number
  accept: readonly string[] | undefined
}

/** What is known of a file before its bytes come. */
export interface IncomingFile {
  name: string
  contentType: string
  /** The form field it came in, where it came in one. */
  field?: string | undefined
}

const acceptPattern = /^(?:\.[a-z0-9]{1,10}|\*\/\*|[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+))$/i

/**
 * Checks a list as HTML's `accept` takes it: `image/png`, `image/*`, `.csv`.
 *
 * @throws ConfigurationError `invalid-option`.
 */
export function checkAccept(owner: string, accept: readonly string[] | undefined): void {
  for (const item of accept ?? []) {
    if (!acceptPattern.test(item)) {
      throw new ConfigurationError(
        'invalid-option',
        `${owner}: option 'accept' takes types such as 'image/png' or 'image/*' and extensions such as '.csv', not '${item}'`,
      )
    }
  }
}

/** @throws UploadError `type-not-accepted`. */
export function assertAccepted(policy: FilePolicy, file: IncomingFile): void {
  if (policy.accept === undefined) return
  const extension = `.${extensionOf(file.name)}`
  const isAccepted = policy.accept.some((item) => {
    const pattern = item.toLowerCase()
    if (pattern === '*/*') return true
    if (pattern.startsWith('.')) return pattern === extension
    if (pattern.endsWith('/*')) return file.contentType.startsWith(pattern.slice(0, -1))
    return pattern === file.contentType
  })
  if (!isAccepted) {
    throw new UploadError(
      'type-not-accepted',
      `${describeFile(file)} is of type ${file.contentType}; accepted: ${policy.accept.join(', ')}`,
      {
        context: { field: file.field, name: file.name, contentType: file.contentType, accept: policy.accept },
      },
    )
  }
}

/**
 * The limit is inclusive: a file of exactly `maxSizeBytes` passes.
 *
 * @throws UploadError `file-too-large`.
 */
export function assertNotTooLarge(policy: FilePolicy, file: IncomingFile, size: number): void {
  if (policy.maxSizeBytes !== undefined && size > policy.maxSizeBytes) {
    throw new UploadError(
      'file-too-large',
      `${describeFile(file)} is larger than the limit of ${formatBytes(policy.maxSizeBytes)}`,
      { context: { field: file.field, name: file.name, maxSizeBytes: policy.maxSizeBytes } },
    )
  }
}

/** @throws UploadError `file-too-small`. */
export function assertNotTooSmall(policy: FilePolicy, file: IncomingFile, size: number): void {
  if (size < policy.minSizeBytes) {
    throw new UploadError(
      'file-too-small',
      `${describeFile(file)} has ${formatBytes(size)}; at least ${formatBytes(policy.minSizeBytes)} are wanted`,
      { context: { field: file.field, name: file.name, minSizeBytes: policy.minSizeBytes } },
    )
  }
}

/** `file 'a.pdf' in field 'cv'`, for messages. */
export function describeFile(file: IncomingFile): string {
  return file.field === undefined ? `file '${file.name}'` : `file '${file.name}' in field '${file.field}'`
}
