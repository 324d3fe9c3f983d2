import { expect, it } from 'vitest'
import { resolveLimits } from '../../src/upload/form-limits.ts'

it('gives each limit that is not said its default', () => {
  expect(resolveLimits({}, 1)).toEqual({
    files: 1,
    fields: 100,
    parts: 1000,
    fieldSizeBytes: 1_048_576,
    allFieldsSizeBytes: 2_097_152,
    fieldNameSizeBytes: 100,
    requestSizeBytes: Number.POSITIVE_INFINITY,
  })
})

it('takes each limit as it is said, zero included', () => {
  const limits = {
    files: 2,
    fields: 0,
    parts: 3,
    fieldSizeBytes: 0,
    allFieldsSizeBytes: 7,
    fieldNameSizeBytes: 5,
    requestSizeBytes: 6,
  }
  expect(resolveLimits(limits, 1)).toEqual(limits)
})
