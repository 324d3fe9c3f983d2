import { UsageError } from './usage-error.js'

const secondsByUnit = { s: 1, m: 60, h: 3600, d: 86_400 }

/**
 * `30m`, `24h`, `7d` in seconds; undefined for what was not given.
 *
 * @throws UsageError; also for more than `maxSeconds`.
 */
export function parseDuration(
  option: string,
  text: string | undefined,
  maxSeconds = Number.POSITIVE_INFINITY,
): number | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (count === undefined) {
    throw new UsageError(`--${option} takes a duration such as 30m, 24h or 7d, not '${text}'`)
  }
  const seconds = Number(count) * secondsByUnit[unit as keyof typeof secondsByUnit]
  if (seconds > maxSeconds) {
    throw new UsageError(
      `--${option} takes at most ${Math.floor(maxSeconds / secondsByUnit.d)}d, not '${text}'`,
    )
  }
  return seconds
}
