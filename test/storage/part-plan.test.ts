import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GiB, MiB, TiB } from '../../src/core/bytes.ts'
import { type PartPlanOptions, planParts } from '../../src/storage/part-plan.ts'
import { errorOf } from '../support/error-of.ts'

function plan(options: Partial<PartPlanOptions>): (number: number) => number {
  return planParts({
    partSizeBytes: 8 * MiB,
    atMostBytes: undefined,
    equalParts: false,
    largestPartBytes: 5 * GiB,
    ...options,
  })
}

/** What fits in all of the 10,000 parts. */
function reach(sizeOf: (number: number) => number): number {
  let sum = 0
  for (let number = 1; number <= 10_000; number++) sum += sizeOf(number)
  return sum
}

describe('the parts of a file of known length', () => {
  it('have one size that S3 takes, and 10,000 of them hold the file', () => {
    const length = fc.oneof(
      fc.integer({ min: 1, max: 5 * TiB }),
      fc.constantFrom(5 * MiB, 80_000 * MiB, 80_000 * MiB + 1, 5 * TiB - 1, 5 * TiB),
    )
    fc.assert(
      fc.property(length, fc.integer({ min: 5 * MiB, max: 5 * GiB }), (atMostBytes, partSizeBytes) => {
        const sizeOf = plan({ atMostBytes, partSizeBytes })
        const size = sizeOf(1)
        expect(sizeOf(10_000)).toBe(size)
        expect(Math.ceil(atMostBytes / size)).toBeLessThanOrEqual(10_000)
        expect(size).toBeGreaterThanOrEqual(partSizeBytes)
        expect(size).toBeLessThanOrEqual(5 * GiB)
      }),
    )
  })

  it.each([
    [5 * MiB, 8 * MiB],
    [8 * MiB + 1, 8 * MiB + 1], // One part, and one request.
    [12 * MiB, 12 * MiB],
    [12 * MiB + 1, 8 * MiB],
    [80_000 * MiB, 8 * MiB],
    [80_000 * MiB + 1, 9 * MiB],
    [1 * TiB, 105 * MiB],
    [5 * TiB, 525 * MiB],
    // Nothing larger fits in S3, whatever a header claims.
    [50 * TiB, 525 * MiB],
  ])('of %i bytes are of %i bytes', (atMostBytes, size) => {
    expect(plan({ atMostBytes })(1)).toBe(size)
  })

  it('are not larger than the part memory', () => {
    expect(plan({ atMostBytes: 10 * MiB, largestPartBytes: 9 * MiB })(1)).toBe(8 * MiB)
  })

  it('are refused at once when one would not fit in the part memory, and the message says what would', () => {
    const error = errorOf(() => plan({ atMostBytes: 5 * TiB, largestPartBytes: 128 * MiB }))
    expect(error.code).toBe('file-too-large')
    expect(error.message).toBe(
      'a file of up to 5 TiB needs parts of 525 MiB, more than the part memory of 128 MiB; ' +
        'raise it with setPartMemoryLimit(550502400)',
    )
    expect(() => plan({ atMostBytes: 5 * TiB, largestPartBytes: 525 * MiB })).not.toThrow()
  })

  it('may be larger than the part memory when somebody set them so', () => {
    const options = { partSizeBytes: 256 * MiB, largestPartBytes: 128 * MiB }
    expect(plan({ ...options, atMostBytes: GiB })(1)).toBe(256 * MiB)
    expect(plan(options)(1)).toBe(256 * MiB)
  })
})

describe('the parts of a file of unknown length', () => {
  it.each([5 * MiB, 8 * MiB, 64 * MiB])('that begin with %i bytes reach 5 TiB', (partSizeBytes) => {
    expect(reach(plan({ partSizeBytes }))).toBeGreaterThanOrEqual(5 * TiB)
  })

  it('never get smaller, nor larger than S3 takes', () => {
    const sizeOf = plan({ partSizeBytes: 5 * MiB })
    const sizes = Array.from({ length: 10_000 }, (_, index) => sizeOf(index + 1))
    expect(sizes).toEqual([...sizes].sort((left, right) => left - right))
    expect([sizes[0], sizes[899], sizes[900], sizes.at(-1)]).toEqual([5 * MiB, 5 * MiB, 10 * MiB, 5 * GiB])
  })

  it('never get larger than the part memory', () => {
    const sizeOf = plan({ largestPartBytes: 128 * MiB })
    expect(sizeOf(10_000)).toBe(128 * MiB)
    expect(reach(sizeOf)).toBeLessThan(5 * TiB)
  })

  it('stay equal where they must', () => {
    expect(reach(plan({ equalParts: true }))).toBe(80_000 * MiB)
  })

  it('are 10,000 and no more, and the message says what helps', () => {
    const sizeOf = plan({ equalParts: true })
    expect(sizeOf(10_000)).toBe(8 * MiB)
    const error = errorOf(() => sizeOf(10_001))
    expect(error.code).toBe('file-too-large')
    expect(error.message).toBe(
      'the file needs more than 10000 parts; say its length, or begin with larger parts than 8 MiB',
    )
  })
})
