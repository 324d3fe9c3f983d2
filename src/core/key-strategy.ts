import { randomFillSync } from 'node:crypto'
import { ConfigurationError } from './errors.js'
import { maxSlugLength, slugName } from './file-name.js'
import { isLongerThan, lengthOf, maxKeyBytes, pathProblem } from './object-key.js'

/** What a key function is told of the file it names. */
export interface KeyContext {
  /** The file's name, already safe to show. */
  name: string
  /** In lower case and without its dot; `''` when there is none. */
  extension: string
  contentType: string
  /** The form field the file came in; undefined for `uploadFromStream`. */
  field: string | undefined
  /** What was given to the verb: the framework's request, or undefined for `uploadFromStream`. */
  request: unknown
}

/** Gives the part of the key that follows the prefixes. */
export type KeyFunction = (file: KeyContext) => string | Promise<string>

/** How keys are made: `<random>/<name>`, `<name>_<time>_<random>`, or by a function of your own. */
export type KeyStrategy = 'unique' | 'timestamped' | KeyFunction

export interface MadeKey {
  key: string
  /** Whether nobody else can have the same key. */
  isUnique: boolean
}

/** What a key is made with besides the file's name. */
export interface KeyOptions {
  /** The most characters that the column takes; S3 takes 1,024 bytes. */
  maxLength?: number | undefined
  now?: () => Date
  /** A text of at least 128 random bits, in ASCII letters, digits, `-` and `_`. */
  random?: () => string
}

const randomBytesPerKey = 16
/** Random bytes drawn ahead: one call for many keys. */
const drawn = Buffer.alloc(256 * randomBytesPerKey)
let usedBytes = drawn.length

function drawRandom(): string {
  if (usedBytes === drawn.length) {
    randomFillSync(drawn)
    usedBytes = 0
  }
  usedBytes += randomBytesPerKey
  return drawn.toString('base64url', usedBytes - randomBytesPerKey, usedBytes)
}

/** 16 bytes in base64url. */
const randomLength = 22
/** `_YYYYmmddHHMMSS_` */
const timestampLength = 16
/** A name of one letter, and the longest extension with its dot. */
const leastNameLength = 12

/** Whether keys of a strategy fit into a column: prefix, random part, and something of the name. */
export function hasRoomForKeys(strategy: KeyStrategy, prefix: string, maxLength = maxKeyBytes): boolean {
  return leastKeyLength(strategy, prefix) <= maxLength
}

/**
 * For the prefixes that the application has set.
 *
 * @throws ConfigurationError `invalid-option` that says the least length of the column.
 */
export function assertRoomForKeys(
  owner: string,
  strategy: KeyStrategy,
  prefix: string,
  maxLength: number | undefined,
): void {
  if (hasRoomForKeys(strategy, prefix, maxLength)) return
  const leastLength = leastKeyLength(strategy, prefix)
  throw new ConfigurationError(
    'invalid-option',
    `${owner}: the column has room for ${maxLength} characters, and a key ${prefix === '' ? '' : `below '${prefix}' `}` +
      `needs ${leastLength}: raise 'length' of 'column', or shorten the prefix`,
    { context: { owner, prefix, leastLength } },
  )
}

function leastKeyLength(strategy: KeyStrategy, prefix: string): number {
  const prefixLength = lengthOf(prefix)
  if (typeof strategy === 'function') return prefixLength + 1
  return prefixLength + leastNameLength + randomLength + (strategy === 'unique' ? 1 : timestampLength)
}

/**
 * The key of a new object.
 *
 * - `unique`: `<prefix><128 random bits>/<name>.<ext>`
 * - `timestamped`: `<prefix><name>_<YYYYmmddHHMMSS>_<128 random bits>.<ext>`, in UTC
 * - a function: `<prefix><its result>`, checked
 *
 * The name is shortened to what fits into the column.
 *
 * @param prefix as `normalizePrefix` gives it.
 * @throws ConfigurationError `invalid-key` when a function's result cannot be a key, or the prefix leaves no room for one.
 */
export async function makeKey(
  strategy: KeyStrategy,
  prefix: string,
  file: KeyContext,
  { maxLength = maxKeyBytes, now = () => new Date(), random = drawRandom }: KeyOptions = {},
): Promise<MadeKey> {
  if (typeof strategy === 'function') {
    return { key: checkedKey(prefix, await strategy(file), maxLength), isUnique: false }
  }
  const affix = strategy === 'unique' ? `${random()}/` : `_${timestamp(now())}_${random()}`
  const suffix = file.extension === '' ? '' : `.${file.extension}`
  const room = maxLength - lengthOf(prefix) - affix.length - suffix.length
  const { base } = slugName(file.name, Math.max(1, Math.min(room, maxSlugLength)))
  const path = strategy === 'unique' ? affix + base + suffix : base + affix + suffix
  return { key: checkedKey(prefix, path, maxLength), isUnique: true }
}

function checkedKey(prefix: string, path: unknown, maxLength: number): string {
  const key = `${prefix}${String(path)}`
  const problem = typeof path === 'string' ? pathProblem(path) : 'it is not a string'
  const excess =
    Buffer.byteLength(key) > maxKeyBytes
      ? `it is longer than ${maxKeyBytes} bytes`
      : isLongerThan(key, maxLength)
        ? `it is longer than the ${maxLength} characters of its column`
        : undefined
  if (problem === undefined && excess === undefined) return key
  throw new ConfigurationError(
    'invalid-key',
    `'${key.slice(0, 200)}' cannot be an object's key: ${problem ?? excess}`,
    { context: { prefix } },
  )
}

/** `20261122093005` */
function timestamp(now: Date): string {
  return now.toISOString().replace(/\D/g, '').slice(0, 14)
}
