import { formatBytes } from './bytes.js'
import { ConfigurationError, UploadError } from './errors.js'
import { shownExtension } from './file-name.js'
import { isInRange } from './inline-types.js'
import { agrees, canonicalType, isActive, isKnownType, typeOfExtension, unknownType } from './media-types.js'

/** What a field, or a call, lets in. */
export interface FilePolicy {
  maxSizeBytes: number | undefined
  minSizeBytes: number
  accept: readonly string[] | undefined
}

/** What is known of a file before its bytes come. */
export interface IncomingFile {
  name: string
  /** The form field it came in, where it came in one. */
  field?: string | undefined
}

/** What is known of it when the first bytes have come. */
export interface SniffedFile extends IncomingFile {
  /** The client's claim. */
  declaredType: string
  /** What the bytes are, whatever anybody says. */
  sniffedType: string
  /** What is stored: the sniffed type, or one that the bytes may be as well and that was claimed. */
  contentType: string
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

/**
 * Holds the list against what the bytes are. A name whose extension says something else is refused as well: it would be
 * that again where the name is believed, on a disk for instance. So would text with the name of a program.
 *
 * @throws UploadError `type-not-accepted`.
 */
export function assertAccepted(policy: FilePolicy, file: SniffedFile): void {
  if (policy.accept === undefined) return
  const extension = shownExtension(file.name)
  const isHonest = agrees(extension, file.contentType)
  if (policy.accept.some((item) => item === '*/*' || (isHonest && isOf(item.toLowerCase(), extension, file))))
    return
  const { name, field, declaredType, sniffedType } = file
  const said = extension === '' ? 'it has no extension' : `its extension is .${extension}`
  throw new UploadError(
    'type-not-accepted',
    `${describeFile(file)} is of type ${sniffedType}, declared as ${declaredType}, and ${said}; accepted: ${policy.accept.join(', ')}`,
    { context: { field, name, declaredType, extension, sniffedType, accept: policy.accept } },
  )
}

function isOf(item: string, extension: string, { contentType, declaredType }: SniffedFile): boolean {
  const namedType = typeOfExtension(extension)
  if (item.startsWith('.')) {
    // Of an extension that nobody knows, only code is no content.
    return item === `.${extension}` && (namedType !== undefined || !isActive(contentType))
  }
  if (namedType !== undefined && isActive(namedType) && !isInRange(namedType, item)) return false
  if (isInRange(contentType, item)) return true
  // Of a type that nobody can tell by its bytes, the claim is all there is.
  const wanted = canonicalType(item)
  return contentType === unknownType && !isKnownType(wanted) && canonicalType(declaredType) === wanted
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
