import { randomFillSync } from 'node:crypto'
import { ConfigurationError } from './errors.js'
import { slugName } from './file-name.js'
import { maxKeyBytes, pathProblem } from './object-key.js'

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

export interface KeySources {
  now: () => Date
  /** A text of at least 128 random bits, in ASCII letters, digits, `-` and `_`. */
  random: () => string
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

const realSources: KeySources = { now: () => new Date(), random: drawRandom }

/**
 * The key of a new object.
 *
 * - `unique`: `<prefix><128 random bits>/<name>.<ext>`
 * - `timestamped`: `<prefix><name>_<YYYYmmddHHMMSS>_<128 random bits>.<ext>`, in UTC
 * - a function: `<prefix><its result>`, checked
 *
 * @param prefix as `normalizePrefix` gives it.
 * @throws ConfigurationError `invalid-key` when a function's result cannot be a key.
 */
export async function makeKey(
  strategy: KeyStrategy,
  prefix: string,
  file: KeyContext,
  sources: KeySources = realSources,
): Promise<MadeKey> {
  if (typeof strategy === 'function') {
    return { key: checkedKey(prefix, await strategy(file)), isUnique: false }
  }
  const { base, extension } = slugName(file.name)
  const suffix = extension === '' ? '' : `.${extension}`
  const random = sources.random()
  const path =
    strategy === 'unique'
      ? `${random}/${base}${suffix}`
      : `${base}_${timestamp(sources.now())}_${random}${suffix}`
  return { key: checkedKey(prefix, path), isUnique: true }
}

function checkedKey(prefix: string, path: unknown): string {
  const problem = typeof path === 'string' ? pathProblem(path) : 'it is not a string'
  const key = `${prefix}${String(path)}`
  if (problem === undefined && Buffer.byteLength(key) <= maxKeyBytes) return key
  throw new ConfigurationError(
    'invalid-key',
    `'${key.slice(0, 200)}' cannot be an object's key: ${problem ?? `it is longer than ${maxKeyBytes} bytes`}`,
    { context: { prefix } },
  )
}

/** `20261122093005` */
function timestamp(now: Date): string {
  return now.toISOString().replace(/\D/g, '').slice(0, 14)
}
