import { ConfigurationError } from './errors.js'
import { redact } from './redact.js'

/** Says what is wrong with a value ("an integer from 1 to 10"), or undefined when it is fine. */
export type OptionCheck = (value: unknown) => string | undefined

const expected =
  (what: string, isFine: (value: unknown) => boolean): OptionCheck =>
  (value) =>
    isFine(value) ? undefined : what

/** Node's timers count milliseconds in 31 bits, 24 days; one that is set for longer goes off at once. */
export const maxTimerSeconds = 2_147_483

/** Checks for option values; each names what it expects. */
export const option = {
  boolean: expected('true or false', (value) => typeof value === 'boolean'),
  string: expected('a non-empty string', (value) => typeof value === 'string' && value !== ''),
  text: expected('a string', (value) => typeof value === 'string'),
  object: expected('an object', (value) => typeof value === 'object' && value !== null),
  function: expected('a function', (value) => typeof value === 'function'),
  functions: expected('a function or a list of functions', (value) =>
    [value].flat().every((item) => typeof item === 'function'),
  ),
  objectOrFunction: expected(
    'an object or a function',
    (value) => typeof value === 'function' || (typeof value === 'object' && value !== null),
  ),
  strings: expected(
    'a list of non-empty strings',
    (value) =>
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((item) => typeof item === 'string' && item !== ''),
  ),
  abortSignal: expected('an AbortSignal', (value) => value instanceof AbortSignal),
  integer: (from: number, to: number = Number.MAX_SAFE_INTEGER): OptionCheck =>
    expected(
      to === Number.MAX_SAFE_INTEGER ? `an integer of at least ${from}` : `an integer from ${from} to ${to}`,
      (value) => Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to,
    ),
  oneOf: (...values: string[]): OptionCheck =>
    expected(values.map((value) => `'${value}'`).join(' or '), (value) => values.includes(value as string)),
  oneOfOrFunction: (...values: string[]): OptionCheck =>
    expected(
      [...values.map((value) => `'${value}'`), 'a function'].join(' or '),
      (value) => typeof value === 'function' || values.includes(value as string),
    ),
}

/**
 * Refuses what is not a known option, or has a value it cannot have. `owner` names the call in the message.
 * An option given as `undefined` counts as not given. `places` says where an option that is not known here belongs.
 *
 * @throws ConfigurationError `unknown-option` naming its place or the nearest known one, `invalid-option` naming the value.
 */
export function checkOptions(
  owner: string,
  given: unknown,
  known: Record<string, OptionCheck>,
  places: ReadonlyMap<string, string> = new Map(),
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ConfigurationError('invalid-option', `${owner}: options are an object, not ${describe(given)}`)
  }
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(known, name) ? known[name] : undefined
    if (check === undefined) {
      const place = places.get(name)
      const nearest = nearestName(name, Object.keys(known))
      const guess = nearest === undefined ? '' : `; did you mean '${nearest}'?`
      const hint = place === undefined ? guess : `. Put it into ${place}.`
      throw new ConfigurationError('unknown-option', `${owner}: there is no option '${name}'${hint}`, {
        context: { owner, option: name },
      })
    }
    const complaint = value === undefined ? undefined : check(value)
    if (complaint !== undefined) {
      throw new ConfigurationError(
        'invalid-option',
        `${owner}: option '${name}' takes ${complaint}, not ${describe(value)}`,
        {
          context: { owner, option: name },
        },
      )
    }
  }
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `'${redact(value)}'`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  return String(value)
}

/** The name that was probably meant; undefined where none is near. */
export function nearestName(name: string, known: string[]): string | undefined {
  const wanted = name.toLowerCase()
  const part = known.find((candidate) => wanted.length > 3 && candidate.toLowerCase().includes(wanted))
  if (part !== undefined) return part
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate.toLowerCase()) }))
    .sort((left, right) => left.distance - right.distance)
  const best = ranked[0]
  return best !== undefined && best.distance <= Math.ceil(name.length / 2) ? best.candidate : undefined
}

/** Levenshtein's distance. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const substitution = (row[j - 1] as number) + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substitution))
    }
    row = next
  }
  return row[right.length] as number
}
