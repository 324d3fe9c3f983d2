import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { UploadError } from '../../src/core/errors.ts'
import { resolveLimits } from '../../src/upload/form-limits.ts'
import { TransferPace } from '../../src/upload/transfer-pace.ts'

const errors: UploadError[] = []
let pace: TransferPace
let leastInCrowd = 0

beforeEach(() => {
  vi.useFakeTimers()
  errors.length = 0
  leastInCrowd = 0
  const limits = resolveLimits({ idleTimeoutSeconds: 10, minBytesPerSecond: 100 }, 1)
  pace = new TransferPace(
    limits,
    () => leastInCrowd,
    (error) => {
      errors.push(error)
      pace.stop()
    },
  )
  pace.start()
})
afterEach(() => {
  pace.stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

/** Lets seconds go by, with so many bytes in each. */
function seconds(count: number, bytes = 0): void {
  for (let second = 0; second < count; second++) {
    if (bytes > 0) pace.received(bytes)
    vi.advanceTimersByTime(1000)
  }
}

const codes = () => errors.map(({ code }) => code)

describe('a client', () => {
  it('that sends nothing for the time limit ends with 408', () => {
    seconds(9)
    expect(errors).toEqual([])
    seconds(1)
    expect(errors).toMatchObject([
      { code: 'request-timeout', statusCode: 408, context: { limit: 'idleTimeoutSeconds', value: 10 } },
    ])
  })

  it('that falls silent after a good start ends too', () => {
    seconds(25, 1_000_000)
    seconds(10)
    expect(codes()).toEqual(['request-timeout'])
  })

  it('that drips ends with 408 after one period, and after any later one', () => {
    seconds(10, 99)
    expect(errors).toMatchObject([
      { code: 'too-slow', statusCode: 408, context: { limit: 'minBytesPerSecond', value: 100 } },
    ])
    expect(errors[0]?.message).toBe(
      '990 bytes of the body came in 10 seconds, fewer than the limit of 100 bytes a second',
    )
  })

  it('that was fast has no credit for later', () => {
    seconds(10, 1_000_000)
    seconds(10, 1)
    expect(codes()).toEqual(['too-slow'])
  })

  it('that sends just enough, in one go or evenly, passes', () => {
    for (let period = 0; period < 5; period++) {
      seconds(1, 1000)
      seconds(9)
    }
    seconds(50, 100)
    expect(errors).toEqual([])
  })
})

describe('a client that is held back', () => {
  it('is not judged by that time, however long', () => {
    pace.received(1000)
    pace.hold()
    seconds(10_000)
    expect(errors).toEqual([])
  })

  it('has all of its time again when it may send', () => {
    seconds(9)
    pace.hold()
    seconds(100)
    pace.release()
    seconds(10)
    expect(errors).toEqual([])
    seconds(1)
    expect(codes()).toEqual(['request-timeout'])
  })

  it('for a moment in every second is never too slow: it has filled all that there was room for', () => {
    for (let second = 0; second < 100; second++) {
      pace.hold()
      pace.release()
      seconds(1, 1)
    }
    expect(errors).toEqual([])
  })
})

describe('while other uploads wait for a place, a client', () => {
  it('that is slow loses its own within 3 seconds of it', () => {
    seconds(100, 999)
    leastInCrowd = 1000
    seconds(3, 999)
    expect(errors).toMatchObject([
      { code: 'too-slow', statusCode: 408, context: { limit: 'minBytesPerSecondWhenFull', value: 1000 } },
    ])
  })

  it('that is just fast enough keeps its own, also when a second of it brings nothing', () => {
    leastInCrowd = 1000
    for (let span = 0; span < 20; span++) {
      seconds(2, 1500)
      seconds(1)
    }
    expect(errors).toEqual([])
  })

  it('that is held back is not judged by that time', () => {
    leastInCrowd = 1000
    pace.hold()
    seconds(100, 1)
    expect(errors).toEqual([])
    pace.release()
    seconds(4, 999)
    expect(codes()).toEqual(['too-slow'])
  })
})

it('a process that was busy itself does not take the client for an idle one', () => {
  vi.setSystemTime(Date.now() + 3_600_000)
  seconds(9)
  expect(errors).toEqual([])
})
