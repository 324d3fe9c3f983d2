import { createHash } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StorageError, UploadError } from '../../src/core/errors.ts'
import { registerField } from '../../src/core/file-field.ts'
import type { FileInspector, InspectedFile, Inspection } from '../../src/core/file-inspector.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { sha256Inspector } from '../../src/upload/sha256-inspector.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { anyField } from '../support/any-field.ts'
import { png } from '../support/sample-heads.ts'

let storage: MemoryStorage
beforeEach(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
})
afterEach(() => configureStorages({}))

/** An inspector that does as it is told, and keeps what it sees. */
function inspectorOf(steps: Partial<Inspection> = {}) {
  const seen = { files: [] as InspectedFile[], chunks: [] as Buffer[], ends: 0, aborts: 0 }
  const inspect: FileInspector = (file) => {
    seen.files.push(file)
    return {
      write: (chunk) => {
        seen.chunks.push(chunk)
        return steps.write?.(chunk)
      },
      end: () => {
        seen.ends++
        return steps.end?.() as undefined
      },
      abort: () => {
        seen.aborts++
        steps.abort?.()
      },
    }
  }
  return { inspect, seen }
}

const failing = (error: unknown) => () => {
  throw error
}

describe('an inspector', () => {
  it('is told of the file by what it is, and sees the very bytes that are stored', async () => {
    const { inspect, seen } = inspectorOf()
    const chunks = [png, Buffer.from('more'), Buffer.from('and more')]
    const file = await uploadFromStream(Readable.from(chunks), {
      name: 'a.jpg',
      contentType: 'image/gif',
      inspect,
    })
    expect(seen.files).toMatchObject([{ name: 'a.jpg', contentType: 'image/png', field: undefined }])
    expect(seen.chunks.length).toBe(3)
    expect(seen.chunks.every((chunk, index) => chunk === chunks[index])).toBe(true)
    expect([seen.ends, seen.aborts]).toEqual([1, 0])
    expect((await file.bytes()).equals(Buffer.concat(chunks))).toBe(true)
  })

  it('sees an empty file end', async () => {
    const { inspect, seen } = inspectorOf()
    await uploadFromStream(Buffer.alloc(0), { inspect })
    expect([seen.chunks.length, seen.ends]).toEqual([0, 1])
  })

  it('gets one chunk at a time, and holds the next ones back', async () => {
    let busy = 0
    let most = 0
    const write = async () => {
      most = Math.max(most, ++busy)
      await new Promise((resolve) => setImmediate(resolve))
      busy--
    }
    const source = Readable.from(Array.from({ length: 20 }, (_, index) => Buffer.from(`chunk ${index}`)))
    await uploadFromStream(source, { inspect: [inspectorOf({ write }).inspect] })
    expect(most).toBe(1)
  })

  it('is waited for before the file is stored', async () => {
    let agree: () => void = () => undefined
    const agreed = new Promise<void>((resolve) => {
      agree = resolve
    })
    const { inspect, seen } = inspectorOf({ end: () => agreed })
    const uploading = uploadFromStream(Buffer.from('bytes'), { inspect })
    await vi.waitFor(() => expect(seen.ends).toBe(1))
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(storage.objects.size).toBe(0)
    agree()
    expect((await uploading).size).toBe(5)
    expect(storage.objects.size).toBe(1)
  })

  it('of the field and of the call both look', async () => {
    class Document {
      declare file: S3File | null
    }
    const [ofField, ofCall] = [inspectorOf(), inspectorOf()]
    registerField(Document, 'file', {
      ...anyField,
      label: 'Document.file',
      rules: { inspect: ofField.inspect },
    })
    await uploadFromStream(Buffer.from('x'), { into: [Document, 'file'], inspect: [ofCall.inspect] })
    expect([ofField.seen.ends, ofCall.seen.ends]).toEqual([1, 1])
  })

  it.each([
    ['when it is asked', 'ask'],
    ['at a chunk', 'write'],
    ['at the end', 'end'],
  ])('refuses a file %s: nothing is stored, and the others are told', async (_when, step) => {
    const refuse: FileInspector = (file) => {
      const steps: Inspection = { write: () => undefined, end: () => undefined }
      const refusing = () => {
        throw file.refusal('it is too blue', { colour: 'blue' })
      }
      return step === 'ask' ? refusing() : { ...steps, [step]: refusing }
    }
    const other = inspectorOf({ end: () => new Promise(() => undefined) })
    await expect(
      uploadFromStream(Buffer.from('x'), { name: 'a.txt', inspect: [other.inspect, refuse] }),
    ).rejects.toMatchObject({
      name: 'UploadError',
      code: 'rejected-by-inspector',
      statusCode: 422,
      message: "file 'a.txt' is refused: it is too blue",
      context: { name: 'a.txt', colour: 'blue' },
    })
    expect(storage.objects.size).toBe(0)
    expect(other.seen.aborts).toBe(1)
    expect(other.seen.files[0]?.signal.aborted).toBe(true)
  })

  it.each([
    ['when it is asked', () => failing(new Error('down'))],
    ['when it is asked, later', () => async () => failing(new Error('down'))()],
    ['at a chunk', () => inspectorOf({ write: failing(new Error('down')) }).inspect],
    ['at a chunk, later', () => inspectorOf({ write: () => Promise.reject(new Error('down')) }).inspect],
    ['at the end', () => inspectorOf({ end: failing(new Error('down')) }).inspect],
    ['at the end, later', () => inspectorOf({ end: () => Promise.reject(new Error('down')) }).inspect],
  ])('that fails %s keeps the file out', async (_when, make) => {
    await expect(uploadFromStream(Buffer.from('x'), { inspect: make() })).rejects.toMatchObject({
      code: 'inspector-failed',
      statusCode: 503,
      cause: expect.objectContaining({ message: 'down' }),
    })
    expect(storage.objects.size).toBe(0)
  })

  it('that throws an error of this package is taken at its word', async () => {
    const error = new UploadError('file-too-large', 'too many pixels')
    const { inspect } = inspectorOf({ end: failing(error) })
    await expect(uploadFromStream(Buffer.from('x'), { inspect })).rejects.toBe(error)
  })

  it('hears of a file that failed elsewhere, once, and its own failure then is nobody’s business', async () => {
    const { inspect, seen } = inspectorOf({ abort: failing(new Error('and this')) })
    const source = new PassThrough()
    const uploading = uploadFromStream(source, { inspect })
    source.write(Buffer.alloc(5000))
    await vi.waitFor(() => expect(seen.chunks.length).toBe(1))
    source.destroy(new Error('disk gone'))
    await expect(uploading).rejects.toMatchObject({ code: 'source-failed' })
    expect([seen.aborts, seen.ends]).toEqual([1, 0])
  })

  it('is not told to abort when it has agreed already', async () => {
    const { inspect, seen } = inspectorOf()
    const failure = new StorageError('storage-failed', 'no')
    storage.put = async (_key, body) => {
      for await (const _ of body);
      throw failure
    }
    await expect(uploadFromStream(Buffer.from('x'), { inspect })).rejects.toBe(failure)
    expect([seen.aborts, seen.ends]).toEqual([0, 1])
  })

  it.each([
    ['while it is asked', 'ask'],
    ['while it takes a chunk', 'write'],
    ['while it makes up its mind', 'end'],
  ])('that never comes back does not keep an upload that is aborted %s', async (_when, step) => {
    const never = () => new Promise<never>(() => undefined)
    const { inspect, seen } = inspectorOf(step === 'ask' ? {} : { [step]: never })
    const asked = vi.fn(step === 'ask' ? never : inspect)
    const abort = new AbortController()
    const uploading = uploadFromStream(Buffer.from('x'), { inspect: asked, signal: abort.signal })
    await vi.waitFor(() => expect(step === 'ask' ? asked.mock.calls : seen.chunks).not.toEqual([]))
    abort.abort()
    await expect(uploading).rejects.toMatchObject({ code: 'upload-aborted' })
    expect(storage.objects.size).toBe(0)
  })

  it('that answers after the upload was aborted is told so', async () => {
    let answer: () => void = () => undefined
    const { inspect, seen } = inspectorOf()
    const slow: FileInspector = (file) =>
      new Promise((resolve) => {
        answer = () => resolve(inspect(file))
      })
    const abort = new AbortController()
    const uploading = uploadFromStream(Buffer.from('x'), { inspect: slow, signal: abort.signal })
    await new Promise((resolve) => setImmediate(resolve))
    abort.abort()
    await expect(uploading).rejects.toMatchObject({ code: 'upload-aborted' })
    answer()
    await vi.waitFor(() => expect(seen.aborts).toBe(1))
  })

  it('does not see a file that is refused for its type or its size', async () => {
    const { inspect, seen } = inspectorOf()
    await expect(uploadFromStream(Buffer.from('x'), { accept: ['image/*'], inspect })).rejects.toMatchObject({
      code: 'type-not-accepted',
    })
    await expect(uploadFromStream(Buffer.from('xx'), { maxSizeBytes: 1, inspect })).rejects.toMatchObject({
      code: 'file-too-large',
    })
    expect(seen.files).toEqual([])
  })

  it.each([[5], [{}], [[() => undefined, 'x']]])('cannot be %j', async (inspect) => {
    await expect(uploadFromStream(Buffer.from('x'), { inspect: inspect as never })).rejects.toMatchObject({
      code: 'invalid-option',
    })
  })

  it.each(['', 'abc', 'sha256:', 5])('cannot give %j for a checksum', async (checksum) => {
    const { inspect } = inspectorOf({ end: () => ({ checksum: checksum as string }) })
    await expect(uploadFromStream(Buffer.from('x'), { inspect })).rejects.toMatchObject({
      code: 'invalid-value',
    })
    expect(storage.objects.size).toBe(0)
  })
})

describe('sha256Inspector', () => {
  it.each(['', 'some bytes'])('puts the digest of %j on the file', async (content) => {
    const source = Readable.from([...content].map((character) => Buffer.from(character)))
    const file = await uploadFromStream(source, { inspect: sha256Inspector() })
    const digest = createHash('sha256').update(content).digest('base64')
    expect(file.checksum).toBe(`sha256:${digest}`)
    expect(file.toRecord().checksum).toBe(file.checksum)
  })

  it('counts each file for itself', async () => {
    const inspect = sha256Inspector()
    const [one, two] = await Promise.all(
      ['a', 'a'].map((text) => uploadFromStream(Buffer.from(text), { inspect })),
    )
    expect(one?.checksum).toBe(two?.checksum)
  })
})
