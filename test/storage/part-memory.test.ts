import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { KiB, MiB } from '../../src/core/bytes.ts'
import type { UploadError } from '../../src/core/errors.ts'
import {
  blockBytes,
  PartMemory,
  type PartShare,
  partMemory,
  setPartMemoryLimit,
} from '../../src/storage/part-memory.ts'
import { holdPartMemory } from '../support/held-memory.ts'

const never = new AbortController().signal
const nobody = { evict: () => undefined, isSourceHeld: () => false }

/** A part memory, its parts by name, and what became of them in order. */
class World {
  readonly memory: PartMemory
  readonly parts = new Map<string, PartShare>()
  readonly granted: string[] = []
  readonly evicted: string[] = []
  readonly errors: UploadError[] = []
  /** Parts that wait for something else than their client. */
  readonly held = new Set<string>()

  constructor(limitBytes: number) {
    this.memory = new PartMemory(limitBytes)
  }

  part(name: string, bytes: number): PartShare {
    const share = this.memory.share(bytes, {
      evict: (error) => {
        this.evicted.push(name)
        this.errors.push(error)
        this.memory.release(share)
      },
      isSourceHeld: () => this.held.has(name),
    })
    this.parts.set(name, share)
    return share
  }

  /** Takes so many bytes for a part, or fewer when it does not get them at once; says how many it has then. */
  fill(name: string, bytes: number): number {
    const part = this.parts.get(name) as PartShare
    while (part.heldBytes < bytes && this.memory.tryGrow(part) !== undefined)
      part.filledBytes = part.heldBytes
    return part.heldBytes
  }

  /** Waits for one more block of a part. */
  ask(name: string, signal = never): Promise<void> {
    return this.memory.grow(this.parts.get(name) as PartShare, signal).then(() => {
      this.granted.push(name)
    })
  }

  release(name: string): void {
    this.memory.release(this.parts.get(name) as PartShare)
  }

  /** Lets all that can be granted be granted. */
  async rest(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }
}

/** Looks are taken when the second's reading is done. */
async function seconds(count: number): Promise<void> {
  for (let second = 0; second < count; second++) {
    await vi.advanceTimersByTimeAsync(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
  setPartMemoryLimit(128 * MiB)
})

describe('the part memory', () => {
  it('gives out no more than its limit, however many ask', () => {
    const world = new World(16 * MiB)
    for (let index = 0; index < 100; index++) {
      world.part(`${index}`, 5 * MiB)
      world.fill(`${index}`, 5 * MiB)
      expect(world.memory.usedBytes).toBeLessThanOrEqual(16 * MiB)
    }
    expect(world.memory.usedBytes).toBeGreaterThan(14 * MiB)
  })

  it('lets a part that was begun be finished, whatever others ask for meanwhile', () => {
    const world = new World(16 * MiB)
    world.part('begun', 5 * MiB)
    world.fill('begun', 1 * MiB)
    for (let index = 0; index < 100; index++) {
      world.part(`${index}`, 5 * MiB)
      world.fill(`${index}`, 5 * MiB)
    }
    expect(world.fill('begun', 5 * MiB)).toBe(5 * MiB)
  })

  it('holds for a part about what has come of it', () => {
    const world = new World(128 * MiB)
    for (let index = 0; index < 100; index++) {
      world.part(`${index}`, 8 * MiB)
      expect(world.fill(`${index}`, 200 * KiB)).toBe(blockBytes)
    }
    expect(world.memory.usedBytes).toBe(100 * blockBytes)
    world.part('large', 8 * MiB)
    expect(world.fill('large', 8 * MiB)).toBe(8 * MiB)
  })

  it('keeps half of itself from parts that were only begun', () => {
    const world = new World(16 * MiB)
    for (let index = 0; index < 100; index++) {
      world.part(`${index}`, 5 * MiB)
      world.fill(`${index}`, blockBytes)
    }
    // And one more, for which a whole part's memory was set aside.
    expect(world.memory.usedBytes).toBe(8 * MiB + blockBytes)
    expect(world.fill('32', 5 * MiB)).toBe(5 * MiB)
  })

  it('is not used up for ever by parts that were begun together', async () => {
    const world = new World(8 * MiB)
    const names = Array.from({ length: 50 }, (_, index) => `${index}`)
    for (const name of names) {
      world.part(name, 8 * MiB)
      world.fill(name, 8 * MiB)
    }
    const finished: string[] = []
    await Promise.all(
      names.map(async (name) => {
        while (world.fill(name, 8 * MiB) < 8 * MiB) await world.ask(name)
        finished.push(name)
        world.release(name)
      }),
    )
    expect(finished).toHaveLength(50)
    expect(world.memory.usedBytes).toBe(0)
  })

  it('serves those who wait in their order: a small part does not overtake a large one', async () => {
    const world = new World(16 * MiB)
    const giveBack = holdPartMemory(world.memory)
    world.part('large', 14 * MiB)
    world.part('small', 5 * MiB)
    void world.ask('large')
    void world.ask('small')
    await world.rest()
    expect(world.granted).toEqual([])
    giveBack()
    await world.rest()
    expect(world.granted).toEqual(['large'])
    world.release('large')
    await world.rest()
    expect(world.granted).toEqual(['large', 'small'])
  })

  it('lets nobody past those who wait', async () => {
    const world = new World(16 * MiB)
    world.part('first', 12 * MiB)
    world.fill('first', 12 * MiB)
    world.part('large', 8 * MiB)
    void world.ask('large')
    world.part('late', 5 * MiB)
    expect(world.fill('late', blockBytes)).toBe(0)
  })

  it('lets a part larger than the limit pass when nothing else is on its way', async () => {
    const world = new World(5 * MiB)
    world.part('small', 5 * MiB)
    world.fill('small', 5 * MiB)
    world.part('huge', 50 * MiB)
    void world.ask('huge')
    await world.rest()
    expect(world.granted).toEqual([])
    world.release('small')
    await world.rest()
    expect(world.granted).toEqual(['huge'])
    expect(world.fill('huge', 50 * MiB)).toBe(50 * MiB)
  })

  it('forgets who gives up, and serves those behind', async () => {
    const world = new World(16 * MiB)
    world.part('first', 10 * MiB)
    world.fill('first', 10 * MiB)
    world.part('large', 10 * MiB)
    world.part('small', 5 * MiB)
    const abort = new AbortController()
    const large = world.ask('large', abort.signal)
    void world.ask('small')
    const reason = new Error('gave up')
    abort.abort(reason)
    await expect(large).rejects.toBe(reason)
    await world.rest()
    expect(world.granted).toEqual(['small'])
  })

  it('gives nothing to who has given up before', async () => {
    const world = new World(16 * MiB)
    world.part('late', 5 * MiB)
    const reason = new Error('gave up')
    await expect(world.ask('late', AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(world.memory.usedBytes).toBe(0)
  })

  it('does not take a block back when its holder gives up later', async () => {
    const world = new World(16 * MiB)
    world.part('part', 5 * MiB)
    const abort = new AbortController()
    await world.ask('part', abort.signal)
    abort.abort()
    expect(world.memory.usedBytes).toBe(blockBytes)
  })

  it('serves those who wait when its limit is raised, and all of them in the end when it is lowered', async () => {
    const world = new World(16 * MiB)
    const giveBack = holdPartMemory(world.memory)
    for (const name of ['a', 'b']) world.part(name, 8 * MiB)
    void world.ask('a')
    await world.rest()
    world.memory.limitBytes = 24 * MiB
    await world.rest()
    expect(world.granted).toEqual(['a'])
    world.memory.limitBytes = 5 * MiB
    void world.ask('b')
    giveBack()
    expect(world.fill('a', 8 * MiB)).toBe(8 * MiB)
    world.release('a')
    await world.rest()
    expect(world.granted).toEqual(['a', 'b'])
  })

  it('gives a part back once, however often it is told to', () => {
    const world = new World(16 * MiB)
    world.part('part', 5 * MiB)
    world.fill('part', MiB)
    world.release('part')
    world.release('part')
    expect(world.memory.usedBytes).toBe(0)
    expect(
      new Set(Array.from({ length: 8 }, (_, index) => world.memory.tryGrow(world.part(`${index}`, MiB))))
        .size,
    ).toBe(8)
  })
})

describe('a client that sends slowly', () => {
  it('keeps what it has sent while nobody waits', async () => {
    const world = new World(16 * MiB)
    world.part('slow', 8 * MiB)
    world.fill('slow', 2 * MiB)
    await seconds(60)
    expect(world.evicted).toEqual([])
    expect(world.fill('slow', 8 * MiB)).toBe(8 * MiB)
  })

  it('leaves the memory that it does not use to those who wait', async () => {
    const world = new World(16 * MiB)
    world.part('slow', 14 * MiB)
    world.fill('slow', 1 * MiB)
    world.part('quick', 8 * MiB)
    void world.ask('quick')
    await world.rest()
    expect(world.granted).toEqual([])
    await seconds(2)
    expect(world.granted).toEqual(['quick'])
    expect(world.evicted).toEqual([])
  })

  it('goes on when there is room again', async () => {
    const world = new World(16 * MiB)
    world.part('slow', 14 * MiB)
    world.fill('slow', 1 * MiB)
    world.part('quick', 8 * MiB)
    void world.ask('quick')
    await seconds(2)
    void world.ask('slow')
    await world.rest()
    expect(world.granted).toEqual(['quick'])
    world.release('quick')
    await world.rest()
    expect(world.granted).toEqual(['quick', 'slow'])
    expect(world.fill('slow', 14 * MiB)).toBe(14 * MiB)
  })

  it('is refused when such clients hold half of the memory and others wait', async () => {
    const world = new World(16 * MiB)
    for (const name of ['slow', 'slower']) world.part(name, 8 * MiB)
    world.fill('slow', 5 * MiB)
    world.fill('slower', 5 * MiB)
    world.part('quick', 8 * MiB)
    void world.ask('quick')
    await seconds(2)
    expect(world.evicted).toEqual(['slower'])
    expect(world.errors[0]).toMatchObject({ code: 'too-slow', statusCode: 408 })
    expect(world.granted).toEqual(['quick'])
  })

  it('is told from one whose bytes wait for an inspector', async () => {
    const world = new World(16 * MiB)
    for (const name of ['inspected', 'another']) world.part(name, 8 * MiB)
    world.fill('inspected', 5 * MiB)
    world.fill('another', 5 * MiB)
    for (const name of ['inspected', 'another']) world.held.add(name)
    world.part('quick', 8 * MiB)
    void world.ask('quick')
    await seconds(10)
    expect(world.evicted).toEqual([])
    world.held.delete('another')
    await seconds(2)
    world.release('inspected')
    await world.rest()
    expect(world.granted).toEqual(['quick'])
    expect(world.evicted).toEqual([])
  })

  it('is told from one that comes at 64 KiB/s', async () => {
    const world = new World(16 * MiB)
    world.part('steady', 14 * MiB)
    world.fill('steady', 1 * MiB)
    world.part('quick', 8 * MiB)
    void world.ask('quick')
    for (let second = 0; second < 10; second++) {
      ;(world.parts.get('steady') as PartShare).filledBytes += 64 * KiB
      await seconds(1)
    }
    expect(world.granted).toEqual([])
  })
})

describe('freed blocks', () => {
  it('are used again', () => {
    const memory = new PartMemory(20 * MiB)
    const share = memory.share(5 * MiB, nobody)
    const block = memory.tryGrow(share)
    memory.release(share)
    expect(memory.tryGrow(memory.share(8 * MiB, nobody)) === block).toBe(true)
  })

  it('are given up when no part has come for a while', async () => {
    const memory = new PartMemory(20 * MiB)
    const share = memory.share(5 * MiB, nobody)
    const block = memory.tryGrow(share)
    memory.release(share)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(memory.tryGrow(memory.share(8 * MiB, nobody)) === block).toBe(false)
  })

  it('and those in use together keep within the limit', () => {
    const memory = new PartMemory(8 * MiB)
    const first = memory.share(8 * MiB, nobody)
    const blocks = new Set<Buffer>()
    for (let block = memory.tryGrow(first); block && blocks.size < 31; block = memory.tryGrow(first))
      blocks.add(block)
    memory.release(first)
    const next = memory.share(8 * MiB, nobody)
    for (let block = memory.tryGrow(next); block && next.heldBytes < 8 * MiB; block = memory.tryGrow(next))
      blocks.add(block)
    expect(blocks.size).toBeLessThanOrEqual(33)
  })
})

describe('setPartMemoryLimit', () => {
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
