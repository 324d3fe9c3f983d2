import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { UnreadBody } from '../../src/upload/unread-body.ts'

let body: Readable
let rest: UnreadBody

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  body = new Readable({ read() {} })
  rest = new UnreadBody(body, { bytes: 1000, idleSeconds: 5, seconds: 30 })
})
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const soon = () => new Promise((resolve) => setImmediate(resolve))

/** Lets seconds go by, with so many bytes in each. */
async function seconds(count: number, bytes = 0): Promise<void> {
  for (let second = 0; second < count && !body.destroyed; second++) {
    if (bytes > 0) body.push(Buffer.alloc(bytes))
    await soon()
    vi.advanceTimersByTime(1000)
  }
  await soon()
}

it('goes by to its end, and nothing is left of it', async () => {
  rest.letBy()
  rest.endSoon()
  body.push(Buffer.alloc(900))
  body.push(null)
  await seconds(100)
  expect(body.readableEnded).toBe(true)
  expect(body.errored).toBe(null)
})

it('has all the time of the upload: the clock begins with the answer', async () => {
  rest.letBy()
  await seconds(1000)
  expect(body.destroyed).toBe(false)
  rest.endSoon()
  await seconds(4)
  expect(body.destroyed).toBe(false)
  await seconds(1)
  expect(body.destroyed).toBe(true)
})

it('ends after its time, however steadily it comes', async () => {
  rest.letBy()
  rest.endSoon()
  await seconds(29, 1)
  expect(body.destroyed).toBe(false)
  await seconds(1, 1)
  expect(body.destroyed).toBe(true)
})

it('is read no further than its bytes, and ends when nothing moves any more', async () => {
  rest.letBy()
  body.push(Buffer.alloc(1001))
  await soon()
  expect(body.isPaused()).toBe(true)
  rest.letBy()
  expect(body.isPaused()).toBe(true)
  rest.endSoon()
  rest.endSoon()
  await seconds(7)
  expect(body.destroyed).toBe(true)
})

it('needs no end when it has one', async () => {
  rest.letBy()
  body.push(null)
  await soon()
  rest.endSoon()
  body = new Readable({ read() {} }).on('error', () => undefined)
  body.destroy()
  new UnreadBody(body).endSoon()
})
