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
    fileNameSizeBytes: 1024,
    partHeaderSizeBytes: 8192,
    partHeaders: 32,
    preambleSizeBytes: 1024,
    epilogueSizeBytes: 1024,
    requestSizeBytes: 5 * 1024 ** 4,
    idleTimeoutSeconds: 30,
    minBytesPerSecond: 1024,
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
    fileNameSizeBytes: 8,
    partHeaderSizeBytes: 256,
    partHeaders: 1,
    preambleSizeBytes: 0,
    epilogueSizeBytes: 0,
    requestSizeBytes: 6,
    idleTimeoutSeconds: 1,
    minBytesPerSecond: 0,
  }
  expect(resolveLimits(limits, 1)).toEqual(limits)
})
