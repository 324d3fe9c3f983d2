import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { KiB, MiB } from '../../src/core/bytes.ts'
import { PartBuffer } from '../../src/storage/part-buffer.ts'
import { partMemory, setPartMemoryLimit } from '../../src/storage/part-memory.ts'
import { holdPartMemory } from '../support/held-memory.ts'

function newPart(options: Partial<ConstructorParameters<typeof PartBuffer>[0]> = {}): PartBuffer {
  return new PartBuffer({
    number: 1,
    sizeBytes: 5 * MiB,
    hasCrc: true,
    hashes: false,
    holder: { evict: () => undefined, isSourceHeld: () => false },
    ...options,
  })
}

async function bytesOf(part: PartBuffer): Promise<Buffer> {
  const body = part.body()
  return Buffer.isBuffer(body) ? body : buffer(body)
}

afterEach(() => {
  expect(partMemory.usedBytes).toBe(0)
  setPartMemoryLimit(128 * MiB)
})

describe('a part', () => {
  it.each([0, 1, 64 * KiB, 64 * KiB + 1, 320 * KiB, 5 * MiB - 1, 5 * MiB])(
    'of %s bytes gives the bytes that came, their CRC-32 and their SHA-256, as often as asked',
    async (length) => {
      const bytes = randomBytes(length)
      for (const hashes of [false, true]) {
        const part = newPart({ hashes })
        let taken = 0
        while (taken < length) taken += part.append(bytes.subarray(taken, taken + 61_234))
        expect(part.length).toBe(length)
        expect(part.isFull).toBe(length === 5 * MiB)
        expect(part.crc).toBe(crc32(bytes))
        expect(part.sha256()).toBe(createHash('sha256').update(bytes).digest('hex'))
        for (let time = 0; time < 2; time++) expect((await bytesOf(part)).equals(bytes)).toBe(true)
        part.release()
      }
    },
  )

  it('takes no more than its size', () => {
    const part = newPart({ number: 2, sizeBytes: 300_000 })
    expect(part.append(Buffer.alloc(500_000))).toBe(300_000)
    expect(part.append(Buffer.alloc(1))).toBe(0)
    part.release()
  })

  it('keeps no checksum where none is wanted', () => {
    const part = newPart({ hasCrc: false })
    part.append(Buffer.from('hello'))
    expect(part.crc).toBeUndefined()
    part.release()
  })

  it('is read block by block, without a copy of the whole', async () => {
    const part = newPart({ number: 2 })
    part.append(Buffer.alloc(MiB))
    const body = part.body() as Readable
    const sizes: number[] = []
    for await (const block of body) sizes.push(block.length)
    expect(sizes).toEqual([256 * KiB, 256 * KiB, 256 * KiB, 256 * KiB])
    part.release()
  })

  it('takes what fits when the memory is used up, and the rest when there is room again', async () => {
    setPartMemoryLimit(5 * MiB)
    const giveBack = holdPartMemory()
    const part = newPart()
    const bytes = randomBytes(100_000)
    const taken = part.append(bytes)
    expect(taken).toBe(64 * KiB)
    const growing = part.grow(new AbortController().signal)
    giveBack()
    await growing
    expect(part.append(bytes.subarray(taken))).toBe(bytes.length - taken)
    expect((await bytesOf(part)).equals(bytes)).toBe(true)
    part.release()
  })
})
