import {
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import { isS3FileError, type S3FileError } from '../core/errors.js'
import { S3Bucket } from './s3-bucket.js'
import { attemptsOf, isNeverSent } from './s3-errors.js'
import { abortUpload, listUploads } from './s3-multipart-uploads.js'
import type { S3Command } from './s3-request.js'

/** A check need not wait as long as an upload of the application may. */
const requestTimeoutSeconds = 20

/** Sends what the checks of a bucket ask, and remembers what they have made until it is deleted again. */
export class S3Probes {
  readonly bucket: S3Bucket
  readonly prefix: string
  readonly signal: AbortSignal
  /** Whether the bucket may keep versions of the probes, which can be listed and deleted. */
  keepsVersions = false
  /** Keys under which there may be an object. */
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

  key(name: string): string {
    return this.prefix + name
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

  /** Sends what makes an object, which is deleted in the end. It is not cancelled: its outcome has to be known for that. */
  async write<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    operation: string,
    key: string,
  ): Promise<Output> {
    try {
      const output = await this.bucket.send(command, { operation, key })
      this.#keys.add(key)
      return output
    } catch (error) {
      if (!isUnwritten(error)) this.#keys.add(key)
      throw error
    }
  }

  /** Begins a multipart upload that is aborted in the end. */
  async createUpload(Key: string, input: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> {
    let uploadId: string | undefined
    try {
      const command = new CreateMultipartUploadCommand({ Bucket: this.bucket.name, Key, ...input })
      uploadId = (await this.bucket.send(command, { operation: 'CreateMultipartUpload', key: Key })).UploadId
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
    for (const key of this.#keys) await attempt(`object '${key}'`, () => this.delete(key))
    if (left.length > 0) return left
    if (this.keepsVersions) await attempt(`versions below '${this.prefix}'`, () => this.#deleteVersions())
    const listed = await this.#listedKey().catch(() => undefined) // Each delete has succeeded by then.
    if (listed !== undefined) left.push(`object '${listed}', which is still listed`)
    return left
  }

  /** Lists the versions of the probes. */
  listVersions(): Promise<ListObjectVersionsCommandOutput> {
    const command = new ListObjectVersionsCommand({ Bucket: this.bucket.name, Prefix: this.prefix })
    return this.bucket.send(command, { operation: 'ListObjectVersions' })
  }

  /** Deletes an object, or a version of it; one that is not there is no error. */
  async delete(Key: string, VersionId?: string): Promise<void> {
    try {
      const command = new DeleteObjectCommand({ Bucket: this.bucket.name, Key, VersionId })
      await this.bucket.send(command, { operation: 'DeleteObject', key: Key })
    } catch (error) {
      if (!isS3FileError(error, 'object-not-found')) throw error
    }
  }

  async #deleteVersions(): Promise<void> {
    const { Versions = [], DeleteMarkers = [] } = await this.listVersions()
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers]) {
      if (Key?.startsWith(this.prefix)) await this.delete(Key, VersionId)
    }
  }

  async #listedKey(): Promise<string | undefined> {
    const command = new ListObjectsV2Command({ Bucket: this.bucket.name, Prefix: this.prefix })
    const { Contents } = await this.bucket.send(command, { operation: 'ListObjectsV2' })
    return Contents?.[0]?.Key
  }
}

/** Whether a failed write has made no object: it was refused at once, or did not reach the store. */
function isUnwritten(error: unknown): boolean {
  if (isNeverSent(error)) return true
  const isRefused = isS3FileError(error, 'storage-refused') || isS3FileError(error, 'checksum-mismatch')
  return isRefused && attemptsOf((error as Error).cause) === 1
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
