import { afterEach, describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import { PartMemory, partMemory, setPartMemoryLimit } from '../../src/storage/part-memory.ts'

const never = new AbortController().signal

/** What has been granted, in order, by name. */
function queueFor(memory: PartMemory) {
  const granted: string[] = []
  const buffers = new Map<string, Buffer>()
  return {
    granted,
    buffers,
    ask(name: string, bytes: number, signal: AbortSignal = never): Promise<void> {
      return memory.take(bytes, signal).then((buffer) => {
        granted.push(name)
        buffers.set(name, buffer)
      })
    },
    release: (name: string) => memory.release(buffers.get(name) as Buffer),
    /** Lets all that can be granted be granted. */
    rest: () => new Promise((resolve) => setImmediate(resolve)),
  }
}

describe('the part memory', () => {
  it('gives out no more than its limit', async () => {
    const memory = new PartMemory(100)
    const queue = queueFor(memory)
    for (const name of ['a', 'b', 'c', 'd']) void queue.ask(name, 40)
    await queue.rest()
    expect(queue.granted).toEqual(['a', 'b'])
    expect(memory.usedBytes).toBe(80)
    queue.release('a')
    await queue.rest()
    expect(queue.granted).toEqual(['a', 'b', 'c'])
    expect(memory.usedBytes).toBe(80)
  })

  it('gives buffers of the size asked for', async () => {
    const memory = new PartMemory(100)
    expect(memory.tryTake(40)).toHaveLength(40)
    expect(await memory.take(60, never)).toHaveLength(60)
  })

  it('serves those who wait in their order: a small part does not overtake a large one', async () => {
    const queue = queueFor(new PartMemory(100))
    await queue.ask('first', 60)
    void queue.ask('large', 90)
    void queue.ask('small', 10)
    await queue.rest()
    expect(queue.granted).toEqual(['first'])
    queue.release('first')
    await queue.rest()
    expect(queue.granted).toEqual(['first', 'large', 'small'])
  })

  it('lets nobody past those who wait', async () => {
    const memory = new PartMemory(100)
    const queue = queueFor(memory)
    await queue.ask('first', 60)
    void queue.ask('large', 90)
    expect(memory.tryTake(10)).toBeUndefined()
  })

  it('has nothing to try for when it is used up', () => {
    const memory = new PartMemory(100)
    memory.tryTake(61)
    expect(memory.tryTake(40)).toBeUndefined()
    expect(memory.tryTake(39)).toHaveLength(39)
  })

  it('lets a part larger than the limit pass when it is alone', async () => {
    const queue = queueFor(new PartMemory(100))
    await queue.ask('small', 10)
    void queue.ask('huge', 500)
    void queue.ask('next', 10)
    await queue.rest()
    expect(queue.granted).toEqual(['small'])
    queue.release('small')
    await queue.rest()
    expect(queue.granted).toEqual(['small', 'huge'])
    queue.release('huge')
    await queue.rest()
    expect(queue.granted).toEqual(['small', 'huge', 'next'])
  })

  it('forgets who gives up, and serves those behind', async () => {
    const queue = queueFor(new PartMemory(100))
    await queue.ask('first', 60)
    const abort = new AbortController()
    const large = queue.ask('large', 90, abort.signal)
    void queue.ask('small', 10)
    const reason = new Error('gave up')
    abort.abort(reason)
    await expect(large).rejects.toBe(reason)
    await queue.rest()
    expect(queue.granted).toEqual(['first', 'small'])
  })

  it('keeps the order of the others when one in their midst gives up', async () => {
    const memory = new PartMemory(100)
    const queue = queueFor(memory)
    await queue.ask('first', 100)
    const abort = new AbortController()
    void queue.ask('a', 50)
    const b = queue.ask('b', 50, abort.signal)
    void queue.ask('c', 50)
    abort.abort()
    await expect(b).rejects.toThrow()
    queue.release('first')
    await queue.rest()
    expect(queue.granted).toEqual(['first', 'a', 'c'])
    expect(memory.usedBytes).toBe(100)
  })

  it('gives nothing to who has given up before', async () => {
    const memory = new PartMemory(100)
    const reason = new Error('gave up')
    await expect(memory.take(10, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(memory.usedBytes).toBe(0)
  })

  it('does not take a buffer back when its holder gives up later', async () => {
    const memory = new PartMemory(100)
    const abort = new AbortController()
    await memory.take(60, abort.signal)
    abort.abort()
    expect(memory.usedBytes).toBe(60)
  })

  it('serves those who wait when its limit is raised', async () => {
    const memory = new PartMemory(100)
    const queue = queueFor(memory)
    await queue.ask('first', 100)
    void queue.ask('second', 100)
    memory.limitBytes = 200
    await queue.rest()
    expect(queue.granted).toEqual(['first', 'second'])
  })

  it('uses the buffer of an earlier part again', () => {
    const memory = new PartMemory(20 * MiB)
    const buffer = memory.tryTake(5 * MiB) as Buffer
    memory.release(buffer)
    expect(memory.usedBytes).toBe(0)
    expect(memory.tryTake(5 * MiB) === buffer).toBe(true)
  })

  it('goes on doing so after parts of odd sizes', () => {
    const memory = new PartMemory(128 * MiB)
    for (let odd = 1; odd <= 6; odd++) memory.release(memory.tryTake(5 * MiB + odd) as Buffer)
    const buffer = memory.tryTake(8 * MiB) as Buffer
    memory.release(buffer)
    expect(memory.tryTake(8 * MiB) === buffer).toBe(true)
  })

  it('never has one buffer out twice', () => {
    const memory = new PartMemory(20 * MiB)
    memory.release(memory.tryTake(5 * MiB) as Buffer)
    const again = memory.tryTake(5 * MiB)
    expect(memory.tryTake(5 * MiB) === again).toBe(false)
  })

  it('drops what it kept when that would bring it over its limit', () => {
    const memory = new PartMemory(10 * MiB)
    const kept = memory.tryTake(5 * MiB) as Buffer
    memory.release(kept)
    const large = memory.tryTake(10 * MiB) as Buffer
    memory.release(large)
    expect(memory.tryTake(5 * MiB) === kept).toBe(false)
  })
})

describe('setPartMemoryLimit', () => {
  afterEach(() => setPartMemoryLimit(128 * MiB))

  it('bounds the memory of the process, which is 128 MiB when nobody says', () => {
    expect(partMemory.limitBytes).toBe(128 * MiB)
    setPartMemoryLimit(5 * MiB)
    expect(partMemory.limitBytes).toBe(5 * MiB)
  })

  it.each([5 * MiB - 1, 0, -1, 5.5 * MiB + 0.5, Number.NaN, Number.POSITIVE_INFINITY, '128MB'])(
    'refuses %s',
    (bytes) => {
      expect(() => setPartMemoryLimit(bytes as number)).toThrow(
        expect.objectContaining({
          code: 'invalid-option',
          message: `setPartMemoryLimit takes an integer of at least 5242880, not ${bytes}`,
        }),
      )
    },
  )
})
