import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import { isS3FileError } from '../../src/core/errors.ts'
import { partMemory } from '../../src/storage/part-memory.ts'
import { type StreamSource, uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

let world: S3World
beforeAll(async () => {
  world = await S3World.start()
})
afterEach(() => world.clear())
afterAll(() => world.stop())

const content = sampleBytes(6 * MiB + 17)

function* chunksOf(bytes: Buffer, failure?: Error) {
  for (let start = 0; start < bytes.length; start += 40_000) yield bytes.subarray(start, start + 40_000)
  if (failure !== undefined) throw failure
}

const nothingLeft = async () => {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
  expect(partMemory.usedBytes).toBe(0)
}

describe('uploadFromStream', () => {
  it.each<[string, () => StreamSource]>([
    ['a Readable', () => Readable.from(chunksOf(content))],
    ['a Readable of bytes', () => Readable.from(chunksOf(content), { objectMode: false })],
    ['a web stream', () => Readable.toWeb(Readable.from(chunksOf(content))) as never],
    [
      'a generator',
      async function* () {
        yield* chunksOf(content)
      }.bind(undefined),
    ],
    ['a list', () => [...chunksOf(content)]],
    ['a Buffer', () => content],
    ['a Uint8Array', () => new Uint8Array(content)],
    ['a Blob', () => new Blob([content as never])],
  ])('stores %s', async (_, source) => {
    const file = await uploadFromStream(source(), { name: 'x.bin' })
    expect(file).toMatchObject({
      name: 'x.bin',
      size: content.length,
      contentType: 'application/octet-stream',
    })
    expect((await file.bytes()).equals(content)).toBe(true)
    expect(partMemory.usedBytes).toBe(0)
  })

  it('takes name and type from a File', async () => {
    const file = await uploadFromStream(new File(['x'], 'note.txt', { type: 'text/plain' }))
    expect(file).toMatchObject({ name: 'note.txt', size: 1, contentType: 'text/plain' })
  })

  it.each([
    ['more', 1],
    ['fewer', -1],
  ])('refuses a source with %s bytes than were announced', async (_, difference) => {
    const source = Readable.from(chunksOf(content))
    await expect(uploadFromStream(source, { sizeBytes: content.length - difference })).rejects.toMatchObject({
      code: 'size-mismatch',
    })
    await nothingLeft()
  })

  it('refuses an announced size over the limit before it reads', async () => {
    const source = Readable.from(chunksOf(content))
    const uploading = uploadFromStream(source, { sizeBytes: 2000, maxSizeBytes: 1000 })
    await expect(uploading).rejects.toMatchObject({ code: 'file-too-large' })
    expect(world.proxy.requests).toEqual([])
    expect(source.destroyed).toBe(true)
  })

  it.each([
    ['before the first byte', 0],
    ['within the first part', 1000],
    ['within a later part', content.length],
  ])('passes on the failure of a source %s, and leaves nothing', async (_, length) => {
    const failure = new Error('the disk is gone')
    const source = Readable.from(chunksOf(content.subarray(0, length), failure))
    const uploading = uploadFromStream(source, { name: 'x.bin' })
    await expect(uploading).rejects.toSatisfy(
      (error) => isS3FileError(error, 'source-failed') && error.cause === failure,
    )
    await nothingLeft()
  })

  it('refuses a source that is closed before its end', async () => {
    const source = new Readable({ read() {} })
    source.push(content)
    setTimeout(() => source.destroy(), 50)
    await expect(uploadFromStream(source)).rejects.toSatisfy((error) => isS3FileError(error, 'source-failed'))
    await nothingLeft()
  })

  it('does not take the failure of a key function for one of the source', async () => {
    const failure = new Error('the database is down')
    const uploading = uploadFromStream(Readable.from(chunksOf(content)), {
      key: () => Promise.reject(failure),
    })
    await expect(uploading).rejects.toBe(failure)
  })

  it('refuses a source that has been read', async () => {
    const source = Readable.from([Buffer.from('x')])
    for await (const _ of source);
    await expect(uploadFromStream(source)).rejects.toSatisfy((error) => isS3FileError(error, 'body-consumed'))
  })

  it('stops reading a source when it is aborted', async () => {
    const abort = new AbortController()
    const source = new Readable({ read() {} })
    source.push(content)
    const uploading = uploadFromStream(source, { signal: abort.signal })
    setTimeout(() => abort.abort(), 50)
    await expect(uploading).rejects.toMatchObject({ code: 'upload-aborted', statusCode: 499 })
    expect(source.destroyed).toBe(true)
    await nothingLeft()
  })

  it('holds a fast source back', async () => {
    world.proxy.delayMs = 30
    let made = 0
    const source = Readable.from(
      (function* () {
        for (; made < 60; made++) yield content.subarray(0, MiB)
      })(),
    )
    let furthest = 0
    await uploadFromStream(source, {
      onProgress: ({ storedBytes }) => {
        furthest = Math.max(furthest, made * MiB - storedBytes)
      },
    })
    expect(furthest).toBeLessThan(45 * MiB)
  })

  it.each([
    ['text', 'some text'],
    ['nothing', undefined],
    ['a number', 5],
  ])('refuses %s', async (_, source) => {
    await expect(uploadFromStream(source as never)).rejects.toMatchObject({ code: 'invalid-value' })
  })
})
