import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { setUploadLimits, UploadSlots, uploadSlots } from '../../src/upload/upload-slots.ts'
import { errorOf } from '../support/error-of.ts'

let slots: UploadSlots
const never = new AbortController().signal

beforeEach(() => {
  vi.useFakeTimers()
  slots = new UploadSlots()
  slots.limit({ concurrent: 2, queued: 2, queueSeconds: 10 })
})
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const errorFrom = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('an upload', () => {
  it('has its place at once while there is one', async () => {
    await slots.take(never)
    await slots.take(never)
    expect(slots.used).toBe(2)
    slots.release()
    slots.release()
    expect(slots.used).toBe(0)
  })

  it('waits in line for one that ends', async () => {
    await slots.take(never)
    await slots.take(never)
    const order: string[] = []
    const first = slots.take(never).then(() => order.push('first'))
    const second = slots.take(never).then(() => order.push('second'))
    await vi.advanceTimersByTimeAsync(9_999)
    expect(order).toEqual([])
    slots.release()
    await first
    expect(order).toEqual(['first'])
    slots.release()
    await second
    expect({ order, used: slots.used }).toEqual({ order: ['first', 'second'], used: 2 })
  })

  it('is refused with 503 and when to try again, if too many wait', async () => {
    for (let upload = 0; upload < 4; upload++) slots.take(never)
    expect(await errorFrom(slots.take(never))).toMatchObject({
      code: 'too-many-uploads',
      statusCode: 503,
      headers: { 'retry-after': '10' },
      context: { limit: 'concurrent', value: 2, retryAfterSeconds: 10 },
    })
    slots.release()
    slots.release()
    expect({ used: slots.used, waiting: slots.waiting }).toEqual({ used: 2, waiting: 0 })
  })

  it('is refused when it has waited too long, and leaves the line', async () => {
    await slots.take(never)
    await slots.take(never)
    const refused = errorFrom(slots.take(never))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await refused).toMatchObject({ code: 'too-many-uploads' })
    expect(slots.waiting).toBe(0)
    slots.release()
    expect(slots.used).toBe(1)
  })

  it('leaves the line when it is stopped, with the reason', async () => {
    await slots.take(never)
    await slots.take(never)
    const stop = new AbortController()
    const stopped = errorFrom(slots.take(stop.signal))
    const patient = slots.take(never)
    stop.abort('gone')
    expect(await stopped).toBe('gone')
    slots.release()
    await patient
    expect(await errorFrom(slots.take(stop.signal))).toBe('gone')
    expect({ used: slots.used, waiting: slots.waiting }).toEqual({ used: 2, waiting: 0 })
  })

  it('that waits has its place when the limit is raised', async () => {
    for (let upload = 0; upload < 4; upload++) slots.take(never)
    slots.limit({ concurrent: 3 })
    expect({ used: slots.used, waiting: slots.waiting }).toEqual({ used: 3, waiting: 1 })
    slots.release()
  })
})

describe('setUploadLimits', () => {
  afterEach(() => setUploadLimits({}))

  it('bounds the whole process', async () => {
    setUploadLimits({ concurrent: 1, queued: 0 })
    await uploadSlots.take(never)
    expect(await errorFrom(uploadSlots.take(never))).toMatchObject({ code: 'too-many-uploads' })
    uploadSlots.release()
  })

  it.each([
    [{ concurrent: 0 }, "'concurrent' takes an integer of at least 1"],
    [{ queued: -1 }, "'queued' takes an integer of at least 0"],
    [{ queueSeconds: 0.5 }, "'queueSeconds' takes an integer from 1 to 86400"],
    [{ concurrency: 1 }, "did you mean 'concurrent'?"],
  ])('refuses %o', (limits, message) => {
    expect(errorOf(() => setUploadLimits(limits as never)).message).toContain(message)
  })
})
