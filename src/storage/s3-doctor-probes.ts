import {
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import { isS3FileError, type S3FileError } from '../core/errors.js'
import { S3Bucket } from './s3-bucket.js'
import { abortUpload, listUploads } from './s3-multipart-uploads.js'
import type { S3Command } from './s3-request.js'

/** A check need not wait as long as an upload of the application may. */
const requestTimeoutSeconds = 20

/** Sends what the checks of a bucket ask, and remembers what they have made until it is deleted again. */
export class S3Probes {
  readonly bucket: S3Bucket
  readonly prefix: string
  readonly signal: AbortSignal
  readonly #keys = new Set<string>()
  readonly #uploads = new Map<string, string>()
  #hasUnheardUploads = false

  constructor({ client, name }: S3Bucket, prefix: string, signal: AbortSignal) {
    this.bucket = new S3Bucket(client, name, {
      requestTimeoutSeconds,
      unsignedPayload: 'tls',
      ownsClient: false,
    })
    this.prefix = prefix
    this.signal = signal
  }

  /** A key that is deleted in the end. */
  key(name: string): string {
    const key = this.prefix + name
    this.#keys.add(key)
    return key
  }

  /** Sends what changes nothing: it ends when the checks do. */
  read<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    operation: string,
    key?: string,
  ): Promise<Output> {
    return this.bucket.send(command, {
      operation,
      signal: this.signal,
      ...(key === undefined ? {} : { key }),
    })
  }

  /** Sends what changes something. It is not cancelled: what comes of it has to be known, to be cleaned up. */
  write<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    operation: string,
    key: string,
  ): Promise<Output> {
    return this.bucket.send(command, { operation, key })
  }

  /** Begins a multipart upload that is aborted in the end. */
  async createUpload(Key: string, input: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> {
    let uploadId: string | undefined
    try {
      const command = new CreateMultipartUploadCommand({ Bucket: this.bucket.name, Key, ...input })
      uploadId = (await this.write(command, 'CreateMultipartUpload', Key)).UploadId
    } finally {
      if (uploadId === undefined) this.#hasUnheardUploads = true
    }
    this.#uploads.set(uploadId as string, Key)
    return uploadId as string
  }

  /** The multipart uploads that the store lists of the probes. */
  async listUploads(): Promise<string[]> {
    const found: string[] = []
    for await (const { key, uploadId } of listUploads(this.bucket, this.prefix)) {
      if (key.startsWith(this.prefix)) found.push(uploadId)
    }
    return found
  }

  /** Deletes all that the checks have made. @returns what may still be there. */
  async cleanUp(): Promise<string[]> {
    const left: string[] = []
    const attempt = async (what: string, work: () => Promise<void>) => {
      try {
        await work()
      } catch (error) {
        left.push(`${what} (${(error as Error).message})`)
      }
    }
    if (this.#hasUnheardUploads) {
      try {
        for await (const { key, uploadId } of listUploads(this.bucket, this.prefix)) {
          this.#uploads.set(uploadId, key)
        }
      } catch {
        // A store that lists none has refused to begin them, or its lifecycle rule has to end them.
      }
    }
    for (const [id, key] of this.#uploads) {
      await attempt(`multipart upload ${id} of '${key}'`, () => abortUpload(this.bucket, key, id))
    }
    for (const key of this.#keys) await attempt(`object '${key}'`, () => this.#delete(key))
    if (left.length > 0) return left
    await attempt(`versions below '${this.prefix}'`, () => this.#deleteVersions())
    await attempt(`objects below '${this.prefix}'`, () => this.#assertGone())
    return left
  }

  async #delete(Key: string, VersionId?: string): Promise<void> {
    try {
      const command = new DeleteObjectCommand({ Bucket: this.bucket.name, Key, VersionId })
      await this.bucket.send(command, { operation: 'DeleteObject', key: Key })
    } catch (error) {
      if (!isS3FileError(error, 'object-not-found')) throw error
    }
  }

  /** A bucket with versions keeps what is deleted. */
  async #deleteVersions(): Promise<void> {
    const command = new ListObjectVersionsCommand({ Bucket: this.bucket.name, Prefix: this.prefix })
    const page = await ifAllowed(this.bucket.send(command, { operation: 'ListObjectVersions' }))
    for (const { Key, VersionId } of [...(page?.Versions ?? []), ...(page?.DeleteMarkers ?? [])]) {
      if (Key?.startsWith(this.prefix)) await this.#delete(Key, VersionId)
    }
  }

  async #assertGone(): Promise<void> {
    const command = new ListObjectsV2Command({ Bucket: this.bucket.name, Prefix: this.prefix })
    const page = await ifAllowed(this.bucket.send(command, { operation: 'ListObjectsV2' }))
    const [left] = page?.Contents ?? []
    if (left !== undefined) throw new Error(`'${left.Key}' is listed still`)
  }
}

export function s3CodeOf(error: unknown): string | undefined {
  return isS3FileError(error) ? (error.context.s3Code as string | undefined) : undefined
}

export function statusOf(error: unknown): number | undefined {
  return isS3FileError(error) ? (error.context.httpStatus as number | undefined) : undefined
}

/** Whether the store says that the credentials do not allow it. */
export function isDenied(error: unknown): boolean {
  return statusOf(error) === 403
}

/** Whether the store says that it does not know such a request. */
export function isUnsupported(error: unknown): boolean {
  const status = statusOf(error)
  return status === 501 || status === 405 || s3CodeOf(error) === 'NotImplemented'
}

/** What the store refused with, where it is an answer to what was sent and not a failure. */
export async function refusalOf(work: Promise<unknown>): Promise<S3FileError | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    const status = statusOf(error)
    if (isS3FileError(error) && status !== undefined && ((status >= 400 && status < 500) || status === 501))
      return error
    throw error
  }
}

/** What may be refused: each delete has succeeded by then. */
async function ifAllowed<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (isDenied(error) || isUnsupported(error)) return undefined
    throw error
  }
}
