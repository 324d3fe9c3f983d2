import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import type { FilePolicy } from '../../src/core/file-policy.ts'
import { ReadableSource } from '../../src/upload/byte-source.ts'
import { UploadGate } from '../../src/upload/upload-gate.ts'

const file = { name: 'a.txt', field: 'cv' }

function policy(rules: Partial<FilePolicy>): FilePolicy {
  return { maxSizeBytes: undefined, minSizeBytes: 0, accept: undefined, ...rules }
}

function gateOf(source: Readable, policies: FilePolicy[] = [], announcedBytes?: number): UploadGate {
  return new UploadGate(new ReadableSource(source), file, { policies, announcedBytes })
}

/** What comes out at the end for text that comes in piece by piece. */
async function pass(pieces: string[], policies: FilePolicy[], announcedBytes?: number): Promise<string> {
  const source = Readable.from(pieces.map((piece) => Buffer.from(piece)))
  return (await buffer(gateOf(source, policies, announcedBytes))).toString()
}

describe('the upload gate', () => {
  it.each([
    ['a file of exactly the largest size', [policy({ maxSizeBytes: 6 })], undefined],
    ['a file of exactly the smallest size', [policy({ minSizeBytes: 6 })], undefined],
    ['a file of exactly the announced size', [policy({})], 6],
    ['any file when there are no rules', [], undefined],
  ])('lets %s pass, byte for byte', async (_what, policies, announced) => {
    expect(await pass(['abc', 'def'], policies, announced)).toBe('abcdef')
  })

  it('lets an empty file pass that nobody wants larger', async () => {
    expect(await pass([], [policy({ maxSizeBytes: 0 })], 0)).toBe('')
  })

  it.each([
    ['one byte too large', [policy({ maxSizeBytes: 5 })], undefined, 'file-too-large'],
    ['one byte too small', [policy({ minSizeBytes: 7 })], undefined, 'file-too-small'],
    [
      'too large for one of its policies',
      [policy({ maxSizeBytes: 9 }), policy({ maxSizeBytes: 5 })],
      undefined,
      'file-too-large',
    ],
    [
      'too small for one of its policies',
      [policy({ minSizeBytes: 1 }), policy({ minSizeBytes: 7 })],
      undefined,
      'file-too-small',
    ],
    ['one byte longer than announced', [policy({})], 5, 'size-mismatch'],
    ['one byte shorter than announced', [policy({})], 7, 'size-mismatch'],
  ])('fails a file that is %s', async (_what, policies, announced, code) => {
    await expect(pass(['abc', 'def'], policies, announced)).rejects.toMatchObject({
      code,
    })
  })

  it.each([
    [5, 'more bytes than the 5 bytes'],
    [1024, 'fewer bytes than the 1 KiB'],
  ])('says of a file announced with %i bytes that it has %s', async (announced, what) => {
    await expect(pass(['abcdef'], [], announced)).rejects.toThrow(
      `file 'a.txt' in field 'cv' has ${what} that were announced`,
    )
  })

  it('lets nothing of a chunk pass that crosses the limit', async () => {
    const source = new PassThrough()
    const gate = gateOf(source, [policy({ maxSizeBytes: 3 })])
    const passed: string[] = []
    gate.on('data', (chunk) => passed.push(String(chunk)))
    const failed = new Promise((resolve) => gate.once('error', resolve))
    source.write('abc')
    source.write('d')
    expect(await failed).toMatchObject({ code: 'file-too-large' })
    expect(passed).toEqual(['abc'])
    expect(source.destroyed).toBe(true)
  })

  it('counts the bytes as they pass', async () => {
    const counts: number[] = []
    const onBytes = (bytes: number) => counts.push(bytes)
    const source = new ReadableSource(Readable.from([Buffer.from('abc'), 'é']))
    await buffer(new UploadGate(source, file, { policies: [], onBytes }))
    expect(counts).toEqual([3, 5])
  })

  it('passes every view of bytes that a stream of objects gives, and nothing else', async () => {
    const views = [new Uint8Array([97, 98, 99]).subarray(1), Buffer.from('d'), 'ef']
    expect(String(await buffer(gateOf(Readable.from(views))))).toBe('bcdef')
    await expect(buffer(gateOf(Readable.from([{ length: 3 }])))).rejects.toMatchObject({
      code: 'invalid-value',
    })
  })

  it('passes the very chunks that come, without a copy', async () => {
    const chunks = [Buffer.from('abc'), Buffer.from('def')]
    const passed: unknown[] = []
    const gate = gateOf(Readable.from(chunks)).on('data', (chunk) => passed.push(chunk))
    await once(gate, 'end')
    expect(passed.length).toBe(2)
    expect(passed.every((chunk, index) => chunk === chunks[index])).toBe(true)
  })

  it('holds a fast source back', async () => {
    let made = 0
    const source = new Readable({
      read() {
        made++
        this.push(made > 1000 ? null : Buffer.alloc(16 * 1024))
      },
    })
    const gate = gateOf(source)
    await gate.head(4)
    await new Promise((resolve) => setImmediate(resolve))
    const held = made
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(made).toBe(held)
    expect(held * 16).toBeLessThan(512)
    gate.destroy()
    expect(source.destroyed).toBe(true)
  })

  it.each([
    ['fails', new Error('disk gone')],
    ['is closed', undefined],
  ])('fails when its source %s, and not with an end', async (_how, error) => {
    const source = new PassThrough()
    const gate = gateOf(source)
    const read = buffer(gate)
    source.write('abc')
    source.destroy(error)
    await expect(read).rejects.toMatchObject({ code: 'source-failed', ...(error && { cause: error }) })
    expect(gate.readableEnded).toBe(false)
  })

  it('fails at once for a source that has failed before', async () => {
    const error = new Error('disk gone')
    const source = new PassThrough()
    source.on('error', () => undefined)
    source.destroy(error)
    const gate = gateOf(source)
    gate.on('error', () => undefined)
    await expect(gate.head(4)).rejects.toMatchObject({ code: 'source-failed', cause: error })
  })
})

describe('the head', () => {
  it.each([
    ['of one chunk', ['abcdef'], 'abcd'],
    ['of several chunks', ['ab', '', 'c', 'def'], 'abcd'],
    ['of a file that is shorter', ['a', 'b'], 'ab'],
    ['of a file of just that length', ['abcd'], 'abcd'],
    ['of an empty file', [], ''],
  ])('%s is known before anybody reads, and passes all the same', async (_what, pieces, head) => {
    const gate = gateOf(Readable.from(pieces.map((piece) => Buffer.from(piece))))
    expect((await gate.head(4)).toString()).toBe(head)
    expect((await buffer(gate)).toString()).toBe(pieces.join(''))
  })

  it('is there as soon as its bytes are, although the file goes on', async () => {
    const source = new PassThrough()
    const gate = gateOf(source.pause())
    const head = gate.head(4)
    source.write('abcde')
    expect((await head).toString()).toBe('abcd')
  })

  it('of a file that is refused meanwhile is the reason why', async () => {
    const gate = gateOf(Readable.from([Buffer.from('abc')]), [policy({ maxSizeBytes: 2 })])
    await expect(gate.head(4)).rejects.toMatchObject({ code: 'file-too-large' })
  })

  it('copies no more than was asked for, and nothing that is in one chunk', async () => {
    const chunk = Buffer.alloc(1024 * 1024)
    const view = await gateOf(Readable.from([chunk])).head(4)
    expect([view.length, view.buffer]).toEqual([4, chunk.buffer])
    const copy = await gateOf(Readable.from([Buffer.alloc(1), chunk])).head(4)
    expect([copy.length, copy.buffer === chunk.buffer]).toEqual([4, false])
  })
})
