import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import type { CompletedPart } from '@aws-sdk/client-s3'
import { formatBytes, KiB } from '../core/bytes.js'
import { isS3FileError, UploadError } from '../core/errors.js'
import type { PutOptions, StoredObject } from '../core/file-storage.js'
import { combineCrc32, encodeCrc32 } from './crc32.js'
import { partMemory } from './part-memory.js'
import { maxObjectBytes, planParts } from './part-plan.js'
import type { S3Bucket } from './s3-bucket.js'
import { type Content, S3ObjectWriter } from './s3-object-writer.js'

export interface S3UploadSettings {
  partSizeBytes: number
  maxConcurrentParts: number
  equalParts: boolean
  checksum: 'crc32' | 'none'
}

/**
 * What the first bytes of an upload wait in, besides the part memory: so small files need none of it, and a client
 * that sends a little and then nothing holds none of it.
 */
const startBytes = 64 * KiB

/** The part that is being filled. */
interface Part {
  number: number
  buffer: Buffer
  /** Whether the buffer is of the part memory, and goes back there. */
  isPooled: boolean
  length: number
  crc: number
}

/**
 * One upload: bytes go from the body into part buffers and from there to S3, several parts at once. What fits in
 * one part is a single PUT. Used once.
 */
export class S3Upload {
  readonly #writer: S3ObjectWriter
  readonly #settings: S3UploadSettings
  readonly #hasChecksum: boolean
  readonly #key: string
  readonly #options: PutOptions
  readonly #partSize: (number: number) => number

  /** Aborted with the first failure, whatever failed. */
  readonly #stop = new AbortController()
  readonly #inFlight = new Set<Promise<void>>()
  readonly #sentParts: CompletedPart[] = []
  #created: Promise<string> | undefined
  #uploadId: string | undefined
  #part: Part | undefined
  #partCount = 0
  #receivedBytes = 0
  #storedBytes = 0
  /** Of all parts that are full. */
  #crc = 0

  constructor(bucket: S3Bucket, settings: S3UploadSettings, key: string, options: PutOptions) {
    this.#writer = new S3ObjectWriter(bucket, key, options)
    this.#hasChecksum = settings.checksum === 'crc32'
    this.#settings = settings
    this.#key = key
    this.#options = options
    this.#partSize = planParts({
      ...settings,
      atMostBytes: options.atMostBytes,
      largestPartBytes: partMemory.limitBytes,
    })
  }

  /**
   * Stores what the body yields. On every failing exit the parts in flight have settled, the multipart upload is
   * aborted and the memory is given back; what could not be cleaned up is named in the error's `context.leftBehind`.
   */
  async run(body: Readable): Promise<StoredObject> {
    const { signal } = this.#options
    const onAbort = () => this.#stop.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      signal?.throwIfAborted()
      body.on('error', () => undefined) // It is looked at when the body is read.
      if (!this.#options.isKeyUnique) await this.#writer.assertFree(this.#stop.signal)
      await this.#receive(body)
      return this.#created === undefined ? await this.#putWhole() : await this.#complete()
    } catch (error) {
      throw await this.#abandon(error)
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#releasePart()
    }
  }

  /** Resolves when the body has ended and all of its full parts are on their way. */
  #receive(body: Readable): Promise<void> {
    return new Promise((resolve, reject) => {
      let filling = Promise.resolve()
      const settle = (error?: unknown) => {
        body.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose)
        this.#stop.signal.removeEventListener('abort', onStop)
        // An error that still comes from the body belongs to its owner; here it must only not be unhandled.
        body.on('error', () => undefined)
        if (error === undefined) resolve()
        else reject(error)
      }
      const onStop = () => settle(this.#stop.signal.reason)
      // A stream may say that it has ended while it is paused on its last chunk.
      const onEnd = () => {
        body.off('close', onClose)
        filling.then(() => settle(), settle)
      }
      const onError = (error: Error) => settle(error)
      const onClose = () => settle(new UploadError('truncated-body', 'the source was closed before its end'))
      const onData = (chunk: Buffer) => {
        try {
          const rest = this.#fill(chunk)
          if (rest.length === 0) return
          filling = fillWhenPossible(rest)
          filling.catch(settle)
        } catch (error) {
          settle(error)
        }
      }
      const fillWhenPossible = async (chunk: Buffer) => {
        body.pause()
        let rest = chunk
        while (rest.length > 0) {
          await this.#nextPart()
          rest = this.#fill(rest)
        }
        body.resume()
      }
      if (body.destroyed) {
        settle(body.errored ?? new UploadError('truncated-body', 'the source was closed before it was read'))
        return
      }
      this.#stop.signal.addEventListener('abort', onStop, { once: true })
      body.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose)
      body.resume()
    })
  }

  /** Copies what fits without waiting and returns the rest. */
  #fill(chunk: Buffer): Buffer {
    let rest = chunk
    while (rest.length > 0) {
      let part = this.#part
      if (part === undefined || part.length === part.buffer.length) {
        part = this.#tryNextPart()
        if (part === undefined) return rest
      }
      const taken = rest.subarray(0, part.buffer.length - part.length)
      taken.copy(part.buffer, part.length)
      if (this.#hasChecksum) part.crc = crc32(taken, part.crc)
      part.length += taken.length
      rest = rest.subarray(taken.length)
      this.#receivedBytes += taken.length
    }
    return rest
  }

  /** Sends the full part off and begins the next one, if there is room for it now. */
  #tryNextPart(): Part | undefined {
    if (this.#partCount === 0) {
      return this.#beginPart(Buffer.allocUnsafe(Math.min(startBytes, this.#nextPartBytes())), false)
    }
    if (this.#part?.isPooled) this.#sendPart()
    if (this.#inFlight.size >= this.#settings.maxConcurrentParts) return undefined
    const buffer = partMemory.tryTake(this.#nextPartBytes())
    return buffer === undefined ? undefined : this.#continueIn(buffer)
  }

  async #nextPart(): Promise<void> {
    const { signal } = this.#stop
    while (this.#inFlight.size >= this.#settings.maxConcurrentParts) {
      await Promise.race(this.#inFlight)
      signal.throwIfAborted()
    }
    this.#continueIn(await partMemory.take(this.#nextPartBytes(), signal))
  }

  /** Goes on in a buffer of the part memory: with the next part, or with what the first one has so far. */
  #continueIn(buffer: Buffer): Part {
    const start = this.#part
    if (start === undefined) return this.#beginPart(buffer, true)
    start.buffer.copy(buffer, 0, 0, start.length)
    start.buffer = buffer
    start.isPooled = true
    return start
  }

  #beginPart(buffer: Buffer, isPooled: boolean): Part {
    this.#partCount++
    this.#part = { number: this.#partCount, buffer, isPooled, length: 0, crc: 0 }
    return this.#part
  }

  /** No more than can still come: a small request takes little memory. */
  #nextPartBytes(): number {
    const { atMostBytes = Number.POSITIVE_INFINITY } = this.#options
    if (this.#receivedBytes >= atMostBytes) {
      throw new UploadError(
        'size-mismatch',
        `more bytes came than the ${formatBytes(atMostBytes)} that were announced`,
      )
    }
    if (this.#receivedBytes >= maxObjectBytes) {
      throw new UploadError(
        'file-too-large',
        `the file is larger than S3's limit of ${formatBytes(maxObjectBytes)}`,
      )
    }
    // A part that is there already is the first one, which is about to move into a larger buffer.
    const [number, held] = this.#part === undefined ? [this.#partCount + 1, 0] : [1, this.#part.length]
    return Math.min(this.#partSize(number), atMostBytes - this.#receivedBytes + held)
  }

  /** Puts the current part on its way; its failure stops the upload. */
  #sendPart(): void {
    const part = this.#part
    if (part === undefined) return
    this.#part = undefined
    this.#crc = combineCrc32(this.#crc, part.crc, part.length)
    const sent = this.#uploadPart(part)
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => {
        if (part.isPooled) partMemory.release(part.buffer)
        this.#inFlight.delete(sent)
      })
    this.#inFlight.add(sent)
  }

  async #uploadPart({ number, buffer, length, crc }: Part): Promise<void> {
    this.#created ??= this.#create()
    const uploadId = await this.#created
    const { signal } = this.#stop
    signal.throwIfAborted()
    const body = buffer.subarray(0, length)
    this.#sentParts[number - 1] = await this.#writer.putPart(
      uploadId,
      number,
      body,
      this.#content(length, crc),
      signal,
    )
    this.#stored(length)
  }

  async #create(): Promise<string> {
    this.#uploadId = await this.#writer.create(this.#hasChecksum)
    this.#writer.assertAllHeard()
    await this.#options.onUploadId?.(this.#uploadId)
    return this.#uploadId
  }

  async #complete(): Promise<StoredObject> {
    if (this.#part !== undefined && this.#part.length > 0) this.#sendPart()
    const uploadId = (await this.#created) as string
    await Promise.all(this.#inFlight)
    this.#stop.signal.throwIfAborted()
    const content = this.#content(this.#receivedBytes, this.#crc)
    return resultOf(await this.#writer.complete(uploadId, this.#sentParts, content), content)
  }

  async #putWhole(): Promise<StoredObject> {
    const body = this.#part?.buffer.subarray(0, this.#part.length) ?? Buffer.alloc(0)
    const content = this.#content(body.length, this.#part?.crc ?? 0)
    const answer = await this.#writer.put(body, content)
    this.#stored(body.length)
    return resultOf(answer, content)
  }

  #content(size: number, crc: number): Content {
    return { size, crc: this.#hasChecksum ? crc : undefined }
  }

  #stored(bytes: number): void {
    this.#storedBytes += bytes
    this.#options.onStored?.(this.#storedBytes)
  }

  #releasePart(): void {
    if (this.#part?.isPooled) partMemory.release(this.#part.buffer)
    this.#part = undefined
  }

  /** Cleans up and returns what to throw. */
  async #abandon(error: unknown): Promise<unknown> {
    const hadPartsInFlight = this.#inFlight.size > 0
    this.#stop.abort(error)
    await Promise.all(this.#inFlight)
    const leftBehind: string[] = []
    await this.#created?.catch(() => undefined)
    const uploadId = this.#uploadId // Without one there is nothing to abort.
    if (uploadId !== undefined && !(await this.#writer.abort(uploadId, hadPartsInFlight))) {
      leftBehind.push(`multipart upload ${uploadId} of '${this.#key}'`)
    }
    if (this.#writer.hasUnheardUploads) leftBehind.push(`multipart uploads of '${this.#key}'`)
    if (!(await this.#writer.takeBack())) leftBehind.push(`object '${this.#key}'`)
    if (leftBehind.length === 0) return error
    const failure = isS3FileError(error) ? error : bodyFailure(error)
    failure.context.leftBehind = leftBehind
    return failure
  }
}

/** An error of the body's owner has no place for what was left behind. */
function bodyFailure(cause: unknown): UploadError {
  return new UploadError('truncated-body', 'the source failed before its end', { cause })
}

function resultOf(answer: { ETag?: string | undefined }, { size, crc }: Content): StoredObject {
  return {
    size,
    // Ceph answers Complete with an empty one.
    etag: answer.ETag?.replaceAll('"', '') || null,
    checksum: crc === undefined ? null : `crc32:${encodeCrc32(crc)}`,
  }
}
