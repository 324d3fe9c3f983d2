import { ConfigurationError } from './errors.js'

/** The longest key in bytes of UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects"). */
export const maxKeyBytes = 1024

// C0, DEL, C1, and the separators and overrides that make a text show as another one.
const controlCharacters = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
const allControlCharacters = new RegExp(controlCharacters, 'gu')

/** The longest prefix in bytes of UTF-8: storage's, field's and client's together leave room for the rest of a key. */
const maxPrefixBytes = 256

/** Whether Windows takes a file name for a device: nobody could save or sync an object of that name there. */
export function isReservedName(name: string): boolean {
  return /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i.test(name)
}

/** Whether a store, or who saves its objects as files, takes a part of a key for something else. */
export function isReservedKeySegment(segment: string): boolean {
  return isReservedName(segment) || segment.endsWith('__XLDIR__') // MinIO's mark of a directory: it lists no such object.
}

/** What keeps a path from being a prefix, or undefined. */
export function prefixProblem(path: string): string | undefined {
  return Buffer.byteLength(path) > maxPrefixBytes
    ? `it is longer than ${maxPrefixBytes} bytes`
    : pathProblem(path)
}

/** Whether a text has more characters than that, as databases count them: a varchar's length is of code points. */
export function isLongerThan(text: string, characters: number): boolean {
  return text.length > characters && lengthOf(text) > characters
}

/** In characters, as databases count them. */
export function lengthOf(text: string): number {
  return [...text].length
}

/** Whether a text could be an object's key at all: what a store accepts, not what this package would make. */
export function isValidKey(key: string): boolean {
  return key !== '' && Buffer.byteLength(key) <= maxKeyBytes && key.isWellFormed() && !key.includes('\u0000')
}

/** The order in which stores list keys, that of their UTF-8 bytes: less than 0, 0, or more than 0. */
export function compareKeys(left: string, right: string): number {
  return left === right ? 0 : Buffer.compare(Buffer.from(left), Buffer.from(right))
}

/**
 * What keeps a path from being a safe part of a key: it would be normalised away, climb out of its prefix, or
 * not mean the same to every store and every URL parser.
 *
 * @returns the reason, or undefined when the path is fine.
 */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'it is empty'
  if (path.startsWith('/')) return 'it starts with a slash'
  if (path.includes('\\')) return 'it has a backslash'
  if (controlCharacters.test(path)) return 'it has control characters'
  if (!path.isWellFormed()) return 'it is not well-formed Unicode'
  for (const segment of path.split('/')) {
    if (segment === '') return `it has an empty segment`
    if (segment === '.' || segment === '..') return `it has a segment '${segment}'`
    if (isReservedKeySegment(segment)) return `it has the reserved name '${segment}'`
    if (segment.trim() !== segment) return 'a segment starts or ends with a space'
  }
  if (/%(?:2e|2f|5c|00)/i.test(path)) return 'it has an encoded dot, slash, backslash or NUL'
  return undefined
}

/**
 * A prefix as it is given ("invoices", "invoices/2026/") in the one form used inside: `''`, or with a closing slash.
 *
 * @throws ConfigurationError `invalid-option`.
 */
export function normalizePrefix(owner: string, prefix: string | undefined): string {
  if (prefix === undefined || prefix === '') return ''
  const path = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  const problem = prefixProblem(path)
  if (problem !== undefined) {
    throw new ConfigurationError('invalid-option', `${owner}: '${prefix}' cannot be a key prefix: ${problem}`)
  }
  return `${path}/`
}

/** Replaces every control character, so that a client's text can be shown and sent in a header. */
export function replaceControlCharacters(text: string, replacement: string): string {
  return text.toWellFormed().replace(allControlCharacters, replacement)
}
