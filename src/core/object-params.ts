import { ConfigurationError } from './errors.js'
import type { ObjectParams } from './file-storage.js'
import { checkOptions, type OptionCheck, option } from './options.js'

// Header values beyond ASCII are no two programs' same bytes, so that signatures fail; a control character ends a header.
const printableAscii = /^[\x20-\x7e]*$/
// RFC 9110, 5.6.2: a token.
const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/

const headerText: OptionCheck = (value) =>
  typeof value === 'string' && printableAscii.test(value) ? undefined : 'a text of printable ASCII'

const checks: Record<keyof ObjectParams, OptionCheck> = {
  ACL: headerText,
  BucketKeyEnabled: option.boolean,
  CacheControl: headerText,
  ContentDisposition: headerText,
  ContentEncoding: headerText,
  ContentLanguage: headerText,
  Expires: (value) =>
    value instanceof Date && !Number.isNaN(value.getTime()) ? undefined : 'a Date that is valid',
  Metadata: option.object,
  SSEKMSEncryptionContext: headerText,
  SSEKMSKeyId: headerText,
  ServerSideEncryption: headerText,
  StorageClass: headerText,
  Tagging: option.object,
}

/**
 * Refuses what is no object parameter: where the object is stored, and of what type, is not for them to say. `owner`
 * names who gave them in the message.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`.
 */
export function checkObjectParams(owner: string, params: ObjectParams): void {
  checkOptions(owner, params, checks)
  for (const [name, value] of Object.entries(params.Metadata ?? {})) {
    if (!headerName.test(name)) refuse(owner, 'Metadata', name, 'is no name of a header')
    if (typeof value !== 'string' || !printableAscii.test(value)) {
      refuse(owner, 'Metadata', name, 'takes a text of printable ASCII; encodeURIComponent() makes it one')
    }
  }
  for (const [name, value] of Object.entries(params.Tagging ?? {})) {
    if (typeof value !== 'string' || !value.isWellFormed() || !name.isWellFormed()) {
      refuse(owner, 'Tagging', name, 'takes a text')
    }
  }
}

function refuse(owner: string, option: string, name: string, problem: string): never {
  throw new ConfigurationError('invalid-option', `${owner}: '${name}' of '${option}' ${problem}`, {
    context: { owner, option, name },
  })
}
