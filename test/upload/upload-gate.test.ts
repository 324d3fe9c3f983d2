import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import type { FilePolicy } from '../../src/core/file-policy.ts'
import { UploadGate } from '../../src/upload/upload-gate.ts'

const file = { name: 'a.txt', contentType: 'text/plain', field: 'cv' }

function policy(rules: Partial<FilePolicy>): FilePolicy {
  return { maxSizeBytes: undefined, minSizeBytes: 0, accept: undefined, ...rules }
}

/** What comes out at the end for text that comes in piece by piece. */
async function pass(gate: UploadGate, ...pieces: string[]): Promise<string> {
  Readable.from(pieces.map((piece) => Buffer.from(piece))).pipe(gate)
  return (await buffer(gate)).toString()
}

describe('the upload gate', () => {
  it.each([
    ['a file of exactly the largest size', [policy({ maxSizeBytes: 6 })], undefined],
    ['a file of exactly the smallest size', [policy({ minSizeBytes: 6 })], undefined],
    ['a file of exactly the announced size', [policy({})], 6],
    ['any file when there are no rules', [], undefined],
  ])('lets %s pass, byte for byte', async (_what, policies, announced) => {
    expect(await pass(new UploadGate(policies, file, announced), 'abc', 'def')).toBe('abcdef')
  })

  it('lets an empty file pass that nobody wants larger', async () => {
    expect(await pass(new UploadGate([policy({ maxSizeBytes: 0 })], file, 0))).toBe('')
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
    await expect(pass(new UploadGate(policies, file, announced), 'abc', 'def')).rejects.toMatchObject({
      code,
    })
  })

  it.each([
    [5, 'more bytes than the 5 bytes'],
    [1024, 'fewer bytes than the 1 KiB'],
  ])('says of a file announced with %i bytes that it has %s', async (announced, what) => {
    await expect(pass(new UploadGate([], file, announced), 'abcdef')).rejects.toThrow(
      `file 'a.txt' in field 'cv' has ${what} that were announced`,
    )
  })

  it('lets nothing of a chunk pass that crosses the limit', async () => {
    const gate = new UploadGate([policy({ maxSizeBytes: 3 })], file)
    const passed: string[] = []
    gate.on('data', (chunk) => passed.push(String(chunk)))
    const failed = new Promise((resolve) => gate.once('error', resolve))
    gate.write('abc')
    gate.write('d')
    expect(await failed).toMatchObject({ code: 'file-too-large' })
    expect(passed).toEqual(['abc'])
  })

  it('counts the bytes as they pass', async () => {
    const counts: number[] = []
    await pass(new UploadGate([], file, undefined, (bytes) => counts.push(bytes)), 'abc', 'é')
    expect(counts).toEqual([3, 5])
  })
})
