import { ConfigurationError, UploadError } from '../core/errors.js'
import { prefixProblem } from '../core/object-key.js'
import { checkOptions, type OptionCheck } from '../core/options.js'

/** Lets the client choose a prefix below the field's own, in the query: `POST /files?__prefix=invoices/2026`. */
export interface PrefixQueryParam {
  /** The parameter's name; `__prefix` in s3chunkuploader. */
  name: string
  /** Which prefixes are allowed: a list of them, a pattern for the whole of it, or a function that says so. */
  allow: readonly string[] | RegExp | ((prefix: string) => boolean)
}

const allowCheck: OptionCheck = (value) =>
  Array.isArray(value) || value instanceof RegExp || typeof value === 'function'
    ? undefined
    : 'a list of prefixes, a regular expression or a function'

/** @throws ConfigurationError `invalid-option`. */
export function checkPrefixQueryParam(owner: string, param: PrefixQueryParam | undefined): void {
  if (param === undefined) return
  checkOptions(`${owner} prefixQueryParam`, param, {
    name: (value) => (typeof value === 'string' && value !== '' ? undefined : 'a non-empty string'),
    allow: allowCheck,
  })
  if (param.name === undefined || param.allow === undefined) {
    throw new ConfigurationError('invalid-option', `${owner}: prefixQueryParam takes { name, allow }`)
  }
}

/**
 * The prefix that the client asks for: `''` when it asks for none, otherwise with a closing slash.
 *
 * @param hasRoom whether a key fits into its column below that prefix.
 * @throws UploadError `invalid-prefix` for one that is not allowed, could leave its place, or leaves no room for a key.
 */
export function requestedPrefix(
  param: PrefixQueryParam | undefined,
  url: string | undefined,
  hasRoom: (prefix: string) => boolean = () => true,
): string {
  if (param === undefined || url === undefined) return ''
  const queryStart = url.indexOf('?')
  const given = queryStart < 0 ? null : new URLSearchParams(url.slice(queryStart + 1)).get(param.name)
  if (given === null || given === '') return ''
  const prefix = given.endsWith('/') ? given.slice(0, -1) : given
  const problem =
    prefixProblem(prefix) ??
    (isAllowed(param.allow, prefix) ? undefined : 'it is not allowed') ??
    (hasRoom(`${prefix}/`) ? undefined : 'it is too long')
  if (problem !== undefined) {
    throw new UploadError(
      'invalid-prefix',
      `the prefix asked for in '${param.name}' is refused: ${problem}`,
      {
        context: { parameter: param.name, prefix: given },
      },
    )
  }
  return `${prefix}/`
}

function isAllowed(allow: PrefixQueryParam['allow'], prefix: string): boolean {
  if (typeof allow === 'function') return allow(prefix) === true
  if (allow instanceof RegExp) {
    return new RegExp(`^(?:${allow.source})$`, allow.flags.replace(/[gmy]/g, '')).test(prefix)
  }
  return allow.some((allowed) => allowed.replace(/\/$/, '') === prefix)
}
