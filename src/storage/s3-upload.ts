import type { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { formatBytes } from '../core/bytes.js'
import { isS3FileError, StorageError, UploadError } from '../core/errors.js'
import type { PutOptions, StoredObject } from '../core/file-storage.js'
import { combineCrc32, encodeCrc32 } from './crc32.js'
import { partMemory } from './part-memory.js'
import { maxObjectBytes, planParts } from './part-plan.js'
import type { S3Bucket } from './s3-bucket.js'
import { attemptsOf, isSdkErrorNamed } from './s3-errors.js'
import { objectInput, wholeChecksum } from './s3-object.js'

export interface S3UploadSettings {
  partSizeBytes: number
  maxConcurrentParts: number
  equalParts: boolean
  checksum: 'crc32' | 'none'
}

/** The part that is being filled. */
interface Part {
  number: number
  buffer: Buffer
  length: number
  crc: number
}

/**
 * One upload: bytes go from the body into part buffers and from there to S3, several parts at once. What fits in
 * one part is a single PUT. Used once.
 */
export class S3Upload {
  readonly #bucket: S3Bucket
  readonly #settings: S3UploadSettings
  readonly #key: string
  readonly #options: PutOptions
  readonly #partSize: (number: number) => number

  /** Aborted with the first failure, whatever failed. */
  readonly #stop = new AbortController()
  readonly #inFlight = new Set<Promise<void>>()
  readonly #sentParts: CompletedPart[] = []
  #created: Promise<string> | undefined
  #part: Part | undefined
  #partCount = 0
  #receivedBytes = 0
  #storedBytes = 0
  /** Of all parts that are full. */
  #crc = 0

  constructor(bucket: S3Bucket, settings: S3UploadSettings, key: string, options: PutOptions) {
    this.#bucket = bucket
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
      if (!this.#options.isKeyUnique) await this.#assertFree()
      await this.#receive(body)
      return this.#created === undefined ? await this.#putWhole() : await this.#complete()
    } catch (error) {
      throw await this.#abandon(error)
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#releasePart()
    }
  }

  /** Early, and for stores that do not know the condition on the last request; that one still decides. */
  async #assertFree(): Promise<void> {
    try {
      await this.#bucket.send(new HeadObjectCommand({ Bucket: this.#bucket.name, Key: this.#key }), {
        operation: 'HeadObject',
        key: this.#key,
        signal: this.#stop.signal,
      })
    } catch (error) {
      if (isS3FileError(error, 'object-not-found')) return
      throw error
    }
    throw new StorageError(
      'key-taken',
      `S3 already has an object '${this.#key}' in bucket '${this.#bucket.name}'`,
      {
        context: { bucket: this.#bucket.name, key: this.#key },
      },
    )
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
      if (this.#settings.checksum === 'crc32') part.crc = crc32(taken, part.crc)
      part.length += taken.length
      rest = rest.subarray(taken.length)
      this.#receivedBytes += taken.length
    }
    return rest
  }

  /** Sends the full part off and begins the next one, if there is room for it now. */
  #tryNextPart(): Part | undefined {
    this.#sendPart()
    if (this.#inFlight.size >= this.#settings.maxConcurrentParts) return undefined
    const buffer = partMemory.tryTake(this.#nextPartBytes())
    return buffer === undefined ? undefined : this.#beginPart(buffer)
  }

  async #nextPart(): Promise<void> {
    const { signal } = this.#stop
    while (this.#inFlight.size >= this.#settings.maxConcurrentParts) {
      await Promise.race(this.#inFlight)
      signal.throwIfAborted()
    }
    this.#beginPart(await partMemory.take(this.#nextPartBytes(), signal))
  }

  #beginPart(buffer: Buffer): Part {
    this.#partCount++
    this.#part = { number: this.#partCount, buffer, length: 0, crc: 0 }
    return this.#part
  }

  /** No more than can still come: a small request takes little memory. */
  #nextPartBytes(): number {
    const left = (this.#options.atMostBytes ?? Number.POSITIVE_INFINITY) - this.#receivedBytes
    if (left <= 0) {
      throw new UploadError(
        'size-mismatch',
        `more bytes came than the ${formatBytes(this.#options.atMostBytes as number)} that were announced`,
      )
    }
    if (this.#receivedBytes >= maxObjectBytes) {
      throw new UploadError(
        'file-too-large',
        `the file is larger than S3's limit of ${formatBytes(maxObjectBytes)}`,
      )
    }
    return Math.min(this.#partSize(this.#partCount + 1), left)
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
        partMemory.release(part.buffer)
        this.#inFlight.delete(sent)
      })
    this.#inFlight.add(sent)
  }

  async #uploadPart(part: Part): Promise<void> {
    this.#created ??= this.#create()
    const uploadId = await this.#created
    this.#stop.signal.throwIfAborted()
    const checksum = this.#settings.checksum === 'crc32' ? encodeCrc32(part.crc) : undefined
    const answer = await this.#bucket.send(
      this.#bucket.unsigned(
        new UploadPartCommand({
          Bucket: this.#bucket.name,
          Key: this.#key,
          UploadId: uploadId,
          PartNumber: part.number,
          Body: part.buffer.subarray(0, part.length),
          ContentLength: part.length,
          ChecksumCRC32: checksum,
        }),
        checksum !== undefined,
      ),
      { operation: 'UploadPart', key: this.#key, signal: this.#stop.signal, bodyBytes: part.length },
    )
    this.#checkAnswer('UploadPart', answer.ChecksumCRC32, checksum)
    this.#sentParts[part.number - 1] = {
      PartNumber: part.number,
      ETag: answer.ETag,
      ChecksumCRC32: answer.ChecksumCRC32,
    }
    this.#stored(part.length)
  }

  async #create(): Promise<string> {
    // Not cancelled when the upload stops: only its answer says which upload is to be aborted.
    const { UploadId } = await this.#bucket.send(
      new CreateMultipartUploadCommand({
        Bucket: this.#bucket.name,
        Key: this.#key,
        ...objectInput(this.#options),
        ...(this.#settings.checksum === 'crc32'
          ? { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' }
          : {}),
      }),
      { operation: 'CreateMultipartUpload', key: this.#key },
    )
    if (UploadId === undefined) {
      throw new StorageError(
        'storage-failed',
        `S3 gave no upload id for '${this.#key}' in bucket '${this.#bucket.name}'`,
      )
    }
    return UploadId
  }

  async #complete(): Promise<StoredObject> {
    if (this.#part !== undefined && this.#part.length > 0) this.#sendPart()
    const uploadId = (await this.#created) as string
    await Promise.all(this.#inFlight)
    this.#stop.signal.throwIfAborted()
    const whole =
      this.#settings.checksum === 'crc32'
        ? {
            ChecksumCRC32: encodeCrc32(this.#crc),
            ChecksumType: 'FULL_OBJECT' as const,
            MpuObjectSize: this.#receivedBytes,
          }
        : {}
    const answer = await this.#write('CompleteMultipartUpload', (condition) =>
      this.#bucket.send(
        new CompleteMultipartUploadCommand({
          Bucket: this.#bucket.name,
          Key: this.#key,
          UploadId: uploadId,
          MultipartUpload: { Parts: this.#sentParts },
          ...whole,
          ...condition,
        }),
        { operation: 'CompleteMultipartUpload', key: this.#key },
      ),
    )
    return this.#result(answer)
  }

  async #putWhole(): Promise<StoredObject> {
    const body = this.#part?.buffer.subarray(0, this.#part.length) ?? Buffer.alloc(0)
    this.#crc = this.#part?.crc ?? 0
    const checksum = this.#settings.checksum === 'crc32' ? encodeCrc32(this.#crc) : undefined
    const answer = await this.#write('PutObject', (condition) =>
      this.#bucket.send(
        this.#bucket.unsigned(
          new PutObjectCommand({
            Bucket: this.#bucket.name,
            Key: this.#key,
            Body: body,
            ContentLength: body.length,
            ChecksumCRC32: checksum,
            ...objectInput(this.#options),
            ...condition,
          }),
          checksum !== undefined,
        ),
        // Not cancelled when the upload stops: a PUT of unknown outcome could leave its object behind.
        { operation: 'PutObject', key: this.#key, bodyBytes: body.length },
      ),
    )
    this.#checkAnswer('PutObject', answer.ChecksumCRC32, checksum)
    this.#stored(body.length)
    return this.#result(answer)
  }

  /**
   * Sends the request that makes the object, under the condition that none is there. A store that does not know the
   * condition is asked without; a repetition of a request that had succeeded unheard is told from a taken key.
   */
  async #write<Answer extends { ETag?: string | undefined; ChecksumCRC32?: string | undefined }>(
    operation: string,
    send: (condition: { IfNoneMatch?: '*' }) => Promise<Answer>,
  ): Promise<{ ETag?: string | undefined; ChecksumCRC32?: string | undefined }> {
    try {
      return await send(this.#bucket.knowsIfNoneMatch ? { IfNoneMatch: '*' } : {})
    } catch (error) {
      const cause = (error as Error).cause
      if (this.#bucket.knowsIfNoneMatch && isSdkErrorNamed(cause, 'NotImplemented')) {
        this.#bucket.knowsIfNoneMatch = false
        return this.#write(operation, send)
      }
      const mayBeOurs = isS3FileError(error, 'key-taken') || isSdkErrorNamed(cause, 'NoSuchUpload')
      if (attemptsOf(cause) > 1 && mayBeOurs) {
        const found = await this.#findStored()
        if (found !== undefined) return found
      }
      throw error
    }
  }

  /** The object under our key, if it has just what was sent. */
  async #findStored(): Promise<{ ETag?: string | undefined } | undefined> {
    const head = await this.#bucket.send(
      new HeadObjectCommand({ Bucket: this.#bucket.name, Key: this.#key, ChecksumMode: 'ENABLED' }),
      { operation: 'HeadObject', key: this.#key },
    )
    const isSame =
      head.ContentLength === this.#receivedBytes &&
      [null, `crc32:${encodeCrc32(this.#crc)}`].includes(wholeChecksum(head.ChecksumCRC32))
    return isSame ? head : undefined
  }

  #result(answer: { ETag?: string | undefined }): StoredObject {
    return {
      size: this.#receivedBytes,
      // Ceph answers Complete with an empty one.
      etag: answer.ETag?.replaceAll('"', '') || null,
      checksum: this.#settings.checksum === 'crc32' ? `crc32:${encodeCrc32(this.#crc)}` : null,
    }
  }

  #checkAnswer(operation: string, answered: string | undefined, sent: string | undefined): void {
    if (answered !== undefined && sent !== undefined && answered !== sent) {
      throw new StorageError(
        'checksum-mismatch',
        `S3 stored other bytes than were sent by ${operation} of '${this.#key}' in bucket '${this.#bucket.name}'`,
        { context: { operation, bucket: this.#bucket.name, key: this.#key } },
      )
    }
  }

  #stored(bytes: number): void {
    this.#storedBytes += bytes
    this.#options.onStored?.(this.#storedBytes)
  }

  #releasePart(): void {
    if (this.#part === undefined) return
    partMemory.release(this.#part.buffer)
    this.#part = undefined
  }

  /** Cleans up and returns what to throw. */
  async #abandon(error: unknown): Promise<unknown> {
    const wereInFlight = this.#inFlight.size > 0
    this.#stop.abort(error)
    await Promise.all(this.#inFlight)
    const leftBehind: string[] = []
    const uploadId = await this.#created?.catch(() => undefined)
    if (uploadId !== undefined && !(await this.#abortMultipart(uploadId, wereInFlight))) {
      leftBehind.push(`multipart upload ${uploadId} of '${this.#key}'`)
    }
    if (this.#mayHaveStored(error) && !(await this.#tryDelete())) leftBehind.push(`object '${this.#key}'`)
    if (leftBehind.length > 0 && isS3FileError(error)) error.context.leftBehind = leftBehind
    return error
  }

  /** S3 may still take a part whose request was cancelled, and then wants to be told once more. */
  async #abortMultipart(uploadId: string, again: boolean): Promise<boolean> {
    const command = new AbortMultipartUploadCommand({
      Bucket: this.#bucket.name,
      Key: this.#key,
      UploadId: uploadId,
    })
    const operation = { operation: 'AbortMultipartUpload', key: this.#key }
    try {
      await this.#bucket.send(command, operation)
      if (again) await this.#bucket.send(command, operation)
      return true
    } catch (error) {
      return isSdkErrorNamed((error as Error).cause, 'NoSuchUpload')
    }
  }

  /** Whether the last request may have made the object although it failed. */
  #mayHaveStored(error: unknown): boolean {
    if (!this.#options.isKeyUnique || !isS3FileError(error)) return false
    const wasWriting = ['PutObject', 'CompleteMultipartUpload'].includes(error.context.operation as string)
    return wasWriting && !['storage-refused', 'key-taken'].includes(error.code)
  }

  async #tryDelete(): Promise<boolean> {
    try {
      await this.#bucket.send(new DeleteObjectCommand({ Bucket: this.#bucket.name, Key: this.#key }), {
        operation: 'DeleteObject',
        key: this.#key,
      })
      return true
    } catch {
      return false // The caller names it in the error that is already on its way.
    }
  }
}
