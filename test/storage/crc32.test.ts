import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { combineCrc32, encodeCrc32 } from '../../src/storage/crc32.ts'

const bytes = fc.uint8Array({ maxLength: 1000, size: 'max' })
const anyCrc = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe('combineCrc32', () => {
  it('gives the CRC-32 of two pieces one after the other', () => {
    fc.assert(
      fc.property(bytes, bytes, (first, second) => {
        expect(combineCrc32(crc32(first), crc32(second), second.length)).toBe(
          crc32(Buffer.concat([first, second])),
        )
      }),
    )
  })

  it('gives the CRC-32 of a file from those of its parts', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 20 }), (parts) => {
        const combined = parts.reduce((crc, part) => combineCrc32(crc, crc32(part), part.length), 0)
        expect(combined).toBe(crc32(Buffer.concat(parts)))
      }),
    )
  })

  // Too long to sum their bytes here; but however the pieces are bracketed, the whole is the same.
  it('holds for lengths far beyond 32 bits', () => {
    const length = fc.integer({ min: 0, max: 5 * 2 ** 40 })
    fc.assert(
      fc.property(anyCrc, anyCrc, anyCrc, length, length, (a, b, c, lengthOfB, lengthOfC) => {
        const left = combineCrc32(combineCrc32(a, b, lengthOfB), c, lengthOfC)
        const right = combineCrc32(a, combineCrc32(b, c, lengthOfC), lengthOfB + lengthOfC)
        expect(left).toBe(right)
      }),
    )
  })

  it('gives 4 GiB and 1 GiB of zeros the same sum in either order', () => {
    const zeros = (length: number): number => {
      if (length === 1) return crc32(Buffer.alloc(1))
      const half = zeros(length / 2)
      return combineCrc32(half, half, length / 2)
    }
    const gibibyte = 2 ** 30
    const [one, four] = [zeros(gibibyte), zeros(4 * gibibyte)]
    expect(combineCrc32(four, one, gibibyte)).toBe(combineCrc32(one, four, 4 * gibibyte))
  })
})

describe('encodeCrc32', () => {
  it.each([
    [0, 'AAAAAA=='],
    [0xffffffff, '/////w=='],
    // The check value of CRC-32, of the text '123456789'.
    [0xcbf43926, 'y/Q5Jg=='],
  ])('writes %i as S3 does: %s', (crc, text) => {
    expect(encodeCrc32(crc)).toBe(text)
  })
})
