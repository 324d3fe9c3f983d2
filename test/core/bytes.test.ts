import { expect, it } from 'vitest'
import { formatBytes, GiB, KiB, MiB, TiB } from '../../src/core/bytes.ts'

it.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [KiB, '1 KiB'],
  [1500, '1500 bytes'],
  [1536 * KiB, '1536 KiB'],
  [10 * MiB, '10 MiB'],
  [10 * MiB + 1, '10485761 bytes'],
  [3 * GiB, '3 GiB'],
  [5 * TiB, '5 TiB'],
])('writes %i in the largest unit that says it exactly: %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})
