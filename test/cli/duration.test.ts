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
})
