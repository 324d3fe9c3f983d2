import { describe, expect, it } from 'vitest'
import { parseDuration } from '../../src/cli/duration.ts'

describe('parseDuration', () => {
  it.each([
    ['0s', 0],
    ['45s', 45],
    ['30m', 1800],
    ['24h', 86_400],
    ['7d', 604_800],
  ])('takes %s', (text, seconds) => {
    expect(parseDuration('older-than', text)).toBe(seconds)
  })

  it('leaves out what was not given', () => {
    expect(parseDuration('older-than', undefined)).toBeUndefined()
  })

  it.each(['', '24', 'h', '-1h', '1.5h', '1h30m', '1w', '1 h', '9999999999d'])('refuses %j', (text) => {
    expect(() => parseDuration('older-than', text)).toThrow('--older-than takes a duration')
  })

  it('refuses more than may be, and says how much that is', () => {
    expect(parseDuration('interval', '24d', 2_147_483)).toBe(2_073_600)
    expect(() => parseDuration('interval', '25d', 2_147_483)).toThrow('--interval takes at most 24d, not ')
  })
})
