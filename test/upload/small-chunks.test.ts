import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SmallChunks } from '../../src/upload/small-chunks.ts'

const written: Buffer[] = []
let chunks: SmallChunks

beforeEach(() => {
  vi.useFakeTimers()
  written.length = 0
  chunks = new SmallChunks((chunk) => written.push(chunk))
})
afterEach(() => {
  vi.useRealTimers()
})

const lengths = () => written.map(({ length }) => length)

it('passes on large chunks as they are', () => {
  const large = Buffer.alloc(4096)
  chunks.add(large)
  expect(written[0]).toBe(large)
  expect(vi.getTimerCount()).toBe(0)
})

it('joins small ones, in their order, up to 4 KiB', () => {
  for (let index = 0; index < 5000; index++) chunks.add(Buffer.of(index % 251))
  chunks.add(Buffer.alloc(5000, 7))
  expect(lengths()).toEqual([4096, 904, 5000])
  const joined = Buffer.concat(written)
  for (let index = 0; index < 5000; index++) expect(joined[index]).toBe(index % 251)
})

it('passes on what is there after a moment', () => {
  const chunk = Buffer.from('head')
  chunks.add(chunk)
  expect(written).toEqual([])
  vi.advanceTimersByTime(250)
  expect(String(written)).toBe('head')
  chunks.add(Buffer.from('more'))
  vi.advanceTimersByTime(250)
  expect(written.map(String)).toEqual(['head', 'more'])
  expect(vi.getTimerCount()).toBe(0)
})

it('holds no more of the memory that a chunk is cut from than the chunk', () => {
  const received = Buffer.alloc(65_536)
  const alone = Buffer.from(new Uint8Array([1, 2]).buffer)
  for (const chunk of [received.subarray(7, 9), alone]) {
    chunks.add(chunk)
    chunks.flush()
  }
  expect(written[0]).toEqual(received.subarray(7, 9))
  expect(written[0]?.buffer).not.toBe(received.buffer)
  expect(written[1]).toBe(alone)
})

it('drops what waits when it is stopped, and its timer with it', () => {
  chunks.add(Buffer.from('x'))
  chunks.stop()
  vi.advanceTimersByTime(1000)
  expect(written).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})
