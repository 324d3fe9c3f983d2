import { AsyncResource } from 'node:async_hooks'
import type { CompletedPart } from '@aws-sdk/client-s3'
import { formatBytes } from '../core/bytes.js'
import { isS3FileError, UploadError } from '../core/errors.js'
import type { PutOptions, StoredObject } from '../core/file-storage.js'
import { type Body, freeChunk } from '../core/free-chunk.js'
import { unlessAborted } from '../core/unless-aborted.js'
import { combineCrc32, encodeCrc32 } from './crc32.js'
import { PartBuffer } from './part-buffer.js'
import { type PartHolder, partMemory } from './part-memory.js'
import { maxObjectBytes, planParts } from './part-plan.js'
import type { S3Bucket } from './s3-bucket.js'
import { attemptsOf } from './s3-errors.js'
import { type Content, S3ObjectWriter } from './s3-object-writer.js'

export interface S3UploadSettings {
  partSizeBytes: number
  maxConcurrentParts: number
  equalParts: boolean
  checksum: 'crc32' | 'none'
}

/**
 * One upload: bytes go from the body into part buffers and from there to S3, several parts at once. What fits in
 * one part is a single PUT. Used once.
 */
export class S3Upload {
  readonly #bucket: S3Bucket
  readonly #writer: S3ObjectWriter
  readonly #settings: S3UploadSettings
  readonly #hasChecksum: boolean
  readonly #key: string
  readonly #options: PutOptions
  readonly #partSize: (number: number) => number
  /** A part is sent when a chunk comes, in the context of the body's events; what traces its request looks for the caller's. */
  readonly #callersContext = new AsyncResource('S3FileUpload')

  /** Aborted with the first failure, whatever failed. */
  readonly #stop = new AbortController()
  readonly #inFlight = new Set<Promise<void>>()
  readonly #sentParts: CompletedPart[] = []
  readonly #holder: PartHolder = {
    evict: (error) => this.#stop.abort(error),
    isSourceHeld: () => this.#options.isSourceHeld?.() ?? false,
  }
  #created: Promise<string> | undefined
  #uploadId: string | undefined
  /** The part that is being filled. */
  #part: PartBuffer | undefined
  #partCount = 0
  #receivedBytes = 0
  #storedBytes = 0
  /** Of all parts that are full. */
  #crc = 0

  constructor(bucket: S3Bucket, settings: S3UploadSettings, key: string, options: PutOptions) {
    this.#bucket = bucket
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
   * aborted and the memory is given back; what could not be cleaned up is named in the error's `context.leftBehind`, and
   * in `context.mayBeLeft` what was, but may come back.
   */
  async run(body: Body): Promise<StoredObject> {
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
      this.#part?.release()
    }
  }

  /** Resolves when the body has ended and all of its full parts are on their way. */
  #receive(body: Body): Promise<void> {
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
      const onClose = () => settle(new UploadError('source-failed', 'the source was closed before its end'))
      const onData = (chunk: Buffer) => {
        try {
          const taken = this.#fill(chunk)
          if (taken === chunk.length) {
            body[freeChunk]?.(chunk)
            return
          }
          filling = fillWhenPossible(chunk, taken)
          filling.catch(settle)
        } catch (error) {
          settle(error)
        }
      }
      const fillWhenPossible = async (chunk: Buffer, taken: number) => {
        body.pause()
        for (let at = taken; at < chunk.length; at += this.#fill(chunk.subarray(at))) await this.#makeRoom()
        body[freeChunk]?.(chunk)
        body.resume()
      }
      if (body.destroyed) {
        settle(body.errored ?? new UploadError('source-failed', 'the source was closed before it was read'))
        return
      }
      this.#stop.signal.addEventListener('abort', onStop, { once: true })
      body.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose)
      body.resume()
    })
  }

  /** Copies what fits without waiting, sends what is full, and says how many bytes of `chunk` that was. */
  #fill(chunk: Buffer): number {
    let taken = 0
    while (taken < chunk.length) {
      if (this.#part?.isFull) this.#sendPart()
      const part = this.#part ?? this.#tryBeginPart()
      const copied = part?.append(taken === 0 ? chunk : chunk.subarray(taken)) ?? 0
      if (copied === 0) break
      taken += copied
      this.#receivedBytes += copied
    }
    return taken
  }

  /** Waits for a part in flight, or for memory. */
  async #makeRoom(): Promise<void> {
    const { signal } = this.#stop
    while (this.#part === undefined && this.#tryBeginPart() === undefined) {
      await Promise.race(this.#inFlight)
      signal.throwIfAborted()
    }
    await this.#part?.grow(signal)
    signal.throwIfAborted() // Since the memory was given.
  }

  #tryBeginPart(): PartBuffer | undefined {
    if (this.#inFlight.size >= this.#settings.maxConcurrentParts) return undefined
    return this.#beginPart(Math.min(this.#partSize(this.#partCount + 1), this.#mostBytesToCome()))
  }

  #beginPart(sizeBytes: number): PartBuffer {
    this.#part = new PartBuffer({
      number: ++this.#partCount,
      sizeBytes,
      hasCrc: this.#hasChecksum,
      hashes: this.#bucket.signsBodies,
      holder: this.#holder,
    })
    return this.#part
  }

  /** A part takes no more memory than can still come. */
  #mostBytesToCome(): number {
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
    return atMostBytes - this.#receivedBytes
  }

  /** Puts the current part on its way; its failure stops the upload. */
  #sendPart(): void {
    const part = this.#part
    if (part === undefined) return
    this.#part = undefined
    part.seal()
    this.#crc = combineCrc32(this.#crc, part.crc ?? 0, part.length)
    const sent = this.#callersContext
      .runInAsyncScope(() => this.#uploadPart(part))
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => {
        part.release()
        this.#inFlight.delete(sent)
      })
    this.#inFlight.add(sent)
  }

  async #uploadPart(part: PartBuffer): Promise<void> {
    this.#created ??= this.#create()
    const uploadId = await this.#created
    const { signal } = this.#stop
    signal.throwIfAborted()
    const sentAt = performance.now()
    const { sent, attempts } = await this.#writer.putPart(uploadId, part, signal)
    signal.throwIfAborted() // Heard out, though nobody counts on it any more.
    this.#sentParts[part.number - 1] = sent
    this.#stored(part, sentAt, attempts)
  }

  async #create(): Promise<string> {
    this.#uploadId = await this.#writer.create(this.#hasChecksum)
    this.#writer.assertAllHeard()
    const named = this.#options.onUploadId?.(this.#uploadId)
    if (named !== undefined) await unlessAborted(this.#stop.signal, named)
    return this.#uploadId
  }

  async #complete(): Promise<StoredObject> {
    if (this.#part !== undefined && this.#part.length > 0) this.#sendPart()
    const uploadId = (await this.#created) as string
    await Promise.all(this.#inFlight)
    this.#stop.signal.throwIfAborted()
    const content = { length: this.#receivedBytes, crc: this.#hasChecksum ? this.#crc : undefined }
    return resultOf(await this.#writer.complete(uploadId, this.#sentParts, content), content)
  }

  async #putWhole(): Promise<StoredObject> {
    const part = this.#part ?? this.#beginPart(0)
    part.seal()
    const sentAt = performance.now()
    const answer = await this.#writer.put(part)
    this.#stored(part, sentAt, attemptsOf(answer))
    return resultOf(answer, part)
  }

  #stored({ number, length: bytes }: PartBuffer, sentAt: number, attempts: number): void {
    this.#storedBytes += bytes
    const durationMs = performance.now() - sentAt
    this.#options.onStored?.(this.#storedBytes, { number, bytes, durationMs, attempts })
  }

  /** Cleans up and returns what to throw. */
  async #abandon(error: unknown): Promise<unknown> {
    this.#stop.abort(error)
    this.#part?.release() // Cleaning up may take as long as the store does.
    await Promise.all(this.#inFlight)
    const leftBehind: string[] = []
    const mayBeLeft: string[] = []
    await this.#created?.catch(() => undefined) // It has failed with `error`, or after it.
    const uploadId = this.#uploadId // Without one there is nothing to abort.
    if (uploadId !== undefined) {
      const isGone = await this.#writer.abort(uploadId)
      const upload = `multipart upload ${uploadId} of '${this.#key}'`
      if (!isGone) leftBehind.push(upload)
      else if (this.#writer.hasUnheardParts) mayBeLeft.push(upload)
    }
    if (this.#writer.hasUnheardUploads) leftBehind.push(`multipart uploads of '${this.#key}'`)
    const object = `object '${this.#key}'`
    if (!(await this.#writer.takeBack())) leftBehind.push(object)
    else if (this.#writer.mayComeBack) mayBeLeft.push(object)
    if (leftBehind.length + mayBeLeft.length === 0) return error
    const failure = isS3FileError(error) ? error : bodyFailure(error)
    for (const [name, found] of Object.entries({ leftBehind, mayBeLeft })) {
      // The files of a form may share the error that ended them.
      if (found.length > 0) failure.context[name] = [...((failure.context[name] ?? []) as string[]), ...found]
    }
    return failure
  }
}

/** An error of the body's owner has no place for what was left behind. */
function bodyFailure(cause: unknown): UploadError {
  return new UploadError('source-failed', 'the source failed before its end', { cause })
}

function resultOf(answer: { ETag?: string | undefined }, { length, crc }: Content): StoredObject {
  return {
    size: length,
    // Ceph answers Complete with an empty one.
    etag: answer.ETag?.replaceAll('"', '') || null,
    checksum: crc === undefined ? null : `crc32:${encodeCrc32(crc)}`,
  }
}
