import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { isS3FileError, StorageError } from '../core/errors.js'
import type { PutOptions } from '../core/file-storage.js'
import { encodeCrc32 } from './crc32.js'
import type { PartBuffer } from './part-buffer.js'
import type { S3Bucket } from './s3-bucket.js'
import { attemptsOf, isNeverSent, isSdkErrorNamed } from './s3-errors.js'
import { abortOtherUploads, abortUpload } from './s3-multipart-uploads.js'
import { objectInput, wholeChecksum } from './s3-object.js'

/** What is to be stored: its length in bytes and, unless checksums are off, the CRC-32 of it. */
export interface Content {
  length: number
  crc: number | undefined
}

interface WriteAnswer {
  ETag?: string | undefined
  ChecksumCRC32?: string | undefined
  $metadata: { attempts?: number | undefined }
}

/** The requests that make one object under one key, or take it back. */
export class S3ObjectWriter {
  readonly #bucket: S3Bucket
  readonly #key: string
  readonly #options: PutOptions
  readonly #target: { Bucket: string; Key: string }
  /** Whether a request that makes the object was sent, and was not surely refused. */
  #mayHaveStored = false
  #mayComeBack = false
  #hasUnheardUploads = false
  #hasUnheardParts = false
  /** Part requests that have not, or not well, ended. */
  #unansweredParts = 0

  constructor(bucket: S3Bucket, key: string, options: PutOptions) {
    this.#bucket = bucket
    this.#key = key
    this.#options = options
    this.#target = { Bucket: bucket.name, Key: key }
  }

  /**
   * Early, and for stores that do not know the condition on the last request; that one still decides.
   *
   * @throws StorageError `key-taken`.
   */
  async assertFree(signal: AbortSignal): Promise<void> {
    try {
      await this.#bucket.send(new HeadObjectCommand(this.#target), this.#operation('HeadObject', { signal }))
    } catch (error) {
      if (isS3FileError(error, 'object-not-found')) return
      throw error
    }
    throw this.#error('HeadObject', 'key-taken', 'already has an object for')
  }

  /** Stores the object in one request. Not to be cancelled: a PUT of unknown outcome could leave its object behind. */
  async put(part: PartBuffer): Promise<WriteAnswer> {
    const checksum = encoded(part)
    const answer = await this.#write(part, (condition) =>
      this.#bucket.send(
        new PutObjectCommand({
          ...objectInput(this.#options),
          ...this.#target,
          ContentLength: part.length,
          ChecksumCRC32: checksum,
          ...condition,
        }),
        this.#operation('PutObject', { part }),
      ),
    )
    this.#checkAnswer('PutObject', answer.ChecksumCRC32, checksum)
    return answer
  }

  /**
   * Begins a multipart upload, and sees to it that it is the only one under a key of our own. Not to be cancelled: only
   * its answer says which upload is to be aborted.
   */
  async create(hasChecksum: boolean): Promise<string> {
    let created: { UploadId?: string | undefined; $metadata: { attempts?: number | undefined } } | undefined
    let hasBegunNone = false
    try {
      created = await this.#bucket.send(
        new CreateMultipartUploadCommand({
          ...objectInput(this.#options),
          ...this.#target,
          ...(hasChecksum ? { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } : {}),
        }),
        this.#operation('CreateMultipartUpload'),
      )
    } catch (error) {
      hasBegunNone = isNeverSent(error)
      throw error
    } finally {
      if (!hasBegunNone && created?.$metadata.attempts !== 1 && this.#options.isKeyUnique) {
        // One whose answer was lost, under our own key: none but ours.
        this.#hasUnheardUploads = !(await abortOtherUploads(this.#bucket, this.#key, created?.UploadId))
      }
    }
    return created.UploadId as string
  }

  /** Whether the store may still take a part, and so bring back an upload that was aborted. */
  get hasUnheardParts(): boolean {
    return this.#hasUnheardParts
  }

  /** Whether there may be multipart uploads under the key whose id nobody has heard. */
  get hasUnheardUploads(): boolean {
    return this.#hasUnheardUploads
  }

  /** Whether a try of a request that makes the object may take effect yet, after the object was taken back. */
  get mayComeBack(): boolean {
    return this.#mayComeBack
  }

  /** @throws StorageError `storage-failed`. */
  assertAllHeard(): void {
    if (!this.#hasUnheardUploads) return
    throw this.#error('CreateMultipartUpload', 'storage-failed', 'may have begun more than one upload of')
  }

  async putPart(
    UploadId: string,
    part: PartBuffer,
    signal: AbortSignal,
  ): Promise<{ sent: CompletedPart; attempts: number }> {
    const checksum = encoded(part)
    this.#unansweredParts++
    const answer = await this.#bucket.send(
      new UploadPartCommand({
        ...this.#target,
        UploadId,
        PartNumber: part.number,
        ContentLength: part.length,
        ChecksumCRC32: checksum,
      }),
      this.#operation('UploadPart', {
        signal,
        part,
        onUnheard: () => {
          this.#hasUnheardParts = true
        },
      }),
    )
    this.#unansweredParts--
    const { ETag, ChecksumCRC32 } = answer
    this.#checkAnswer('UploadPart', ChecksumCRC32, checksum)
    return { sent: { PartNumber: part.number, ETag, ChecksumCRC32 }, attempts: attemptsOf(answer) }
  }

  /** Makes the object of the parts; the store checks the whole of it where it can. */
  async complete(UploadId: string, Parts: CompletedPart[], content: Content): Promise<WriteAnswer> {
    const ChecksumCRC32 = encoded(content)
    const whole =
      ChecksumCRC32 === undefined
        ? {}
        : { ChecksumCRC32, ChecksumType: 'FULL_OBJECT' as const, MpuObjectSize: content.length }
    return this.#write(content, (condition) =>
      this.#bucket.send(
        new CompleteMultipartUploadCommand({
          ...this.#target,
          UploadId,
          MultipartUpload: { Parts },
          ...whole,
          ...condition,
        }),
        this.#operation('CompleteMultipartUpload'),
      ),
    )
  }

  /**
   * S3 may still take a part whose request failed, and then wants to be told once more.
   *
   * @returns whether the multipart upload is gone.
   */
  async abort(UploadId: string): Promise<boolean> {
    try {
      await abortUpload(this.#bucket, this.#key, UploadId)
      if (this.#unansweredParts > 0) await abortUpload(this.#bucket, this.#key, UploadId)
      return true
    } catch {
      return false // The caller names it in the error that is already on its way.
    }
  }

  /**
   * Takes back the object of a request that failed and may have made it all the same.
   *
   * @returns whether there is no such object now.
   */
  async takeBack(): Promise<boolean> {
    // A key that somebody else could have is left alone: the object may be theirs.
    if (!this.#mayHaveStored || !this.#options.isKeyUnique) return true
    try {
      await this.#bucket.send(new DeleteObjectCommand(this.#target), this.#operation('DeleteObject'))
      return true
    } catch {
      return false // The caller names it in the error that is already on its way.
    }
  }

  /**
   * Sends the request that makes the object, under the condition that none is there. A store that answers NotImplemented
   * is asked without: it may mean the condition or any other header, which only that answer tells.
   */
  async #write(
    content: Content,
    send: (condition: { IfNoneMatch?: '*' }) => Promise<WriteAnswer>,
  ): Promise<WriteAnswer> {
    const condition = this.#bucket.knowsIfNoneMatch ? ({ IfNoneMatch: '*' } as const) : {}
    try {
      return await this.#attempt(content, () => send(condition))
    } catch (error) {
      if (!('IfNoneMatch' in condition) || !isSdkErrorNamed((error as Error).cause, 'NotImplemented')) {
        throw error
      }
    }
    const answer = await this.#attempt(content, () => send({}))
    this.#bucket.knowsIfNoneMatch = false
    return answer
  }

  /** A repetition of a request that had succeeded unheard is told from a taken key. */
  async #attempt(content: Content, send: () => Promise<WriteAnswer>): Promise<WriteAnswer> {
    const mayHaveStored = this.#mayHaveStored
    this.#mayHaveStored = true
    try {
      return await send()
    } catch (error) {
      const { cause } = error as Error
      const isTaken = isS3FileError(error, 'key-taken')
      const isNever = isNeverSent(error)
      if (isNever || attemptsOf(cause) === 1) {
        const isSurelyNot = isNever || isTaken || isS3FileError(error, 'storage-refused')
        this.#mayHaveStored = mayHaveStored || !isSurelyNot
        throw error
      }
      // Only the last try was surely answered by the store. Under a taken key of somebody else's nothing of ours comes.
      this.#mayComeBack = this.#options.isKeyUnique === true || !isTaken
      if (isTaken || isSdkErrorNamed(cause, 'NoSuchUpload')) {
        const found = await this.#findStored(content)
        if (found !== undefined) return { ...found, $metadata: { attempts: attemptsOf(cause) } }
      }
      throw error
    }
  }

  /** The object under our key, if it has just what was sent. */
  async #findStored(content: Content): Promise<WriteAnswer | undefined> {
    const head = await this.#bucket.send(
      new HeadObjectCommand({ ...this.#target, ChecksumMode: 'ENABLED' }),
      this.#operation('HeadObject'),
    )
    const stored = wholeChecksum(head.ChecksumCRC32)
    // Without a checksum to compare, an object of the same length may be somebody else's, unless nobody else has the key.
    const isSame =
      stored === null || content.crc === undefined
        ? this.#options.isKeyUnique === true
        : stored === `crc32:${encodeCrc32(content.crc)}`
    return head.ContentLength === content.length && isSame ? head : undefined
  }

  #checkAnswer(operation: string, answered: string | undefined, sent: string | undefined): void {
    if (answered !== undefined && sent !== undefined && answered !== sent) {
      throw this.#error(operation, 'checksum-mismatch', 'stored other bytes than were sent for')
    }
  }

  #operation<More extends object>(operation: string, more?: More) {
    return { operation, key: this.#key, ...more }
  }

  #error(
    operation: string,
    code: 'key-taken' | 'storage-failed' | 'checksum-mismatch',
    what: string,
  ): StorageError {
    return new StorageError(code, `S3 ${what} '${this.#key}' in bucket '${this.#bucket.name}'`, {
      context: { operation, bucket: this.#bucket.name, key: this.#key },
    })
  }
}

function encoded({ crc }: Content): string | undefined {
  return crc === undefined ? undefined : encodeCrc32(crc)
}
