import type {
  PutObjectCommand,
  S3Client,
  ServiceInputTypes,
  ServiceOutputTypes,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { KiB } from '../core/bytes.js'
import { StorageError } from '../core/errors.js'
import { storageErrorOf } from './s3-errors.js'

type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
  typeof S3Client.prototype.send<Input, Output>
>[0]

/** A request may take so much longer for its body. */
const slowestBytesPerSecond = 64 * KiB

interface RequestOptions {
  /** As S3 names it. */
  operation: string
  key?: string
  signal?: AbortSignal | undefined
  bodyBytes?: number
}

/** One bucket of one client: sends commands and puts their errors into this package's words. */
export class S3Bucket {
  readonly client: S3Client
  readonly name: string
  /** Until the store has said that it does not know `If-None-Match` on a write. */
  knowsIfNoneMatch = true

  readonly #timeoutSeconds: number

  constructor(client: S3Client, name: string, timeoutSeconds: number) {
    this.client = client
    this.name = name
    this.#timeoutSeconds = timeoutSeconds
  }

  /**
   * Sends a command and bounds the time it takes, whatever the client's own settings: a store that falls silent fails
   * the request, it does not hang it.
   *
   * @throws StorageError; the signal's reason when it aborted the request.
   */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    { operation, key, signal, bodyBytes = 0 }: RequestOptions,
  ): Promise<Output> {
    const seconds = this.#timeoutSeconds + Math.ceil(bodyBytes / slowestBytesPerSecond)
    // Until the answer only: the body of a GET may take as long as whoever reads it.
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), seconds * 1000)
    try {
      return await this.client.send(command, {
        abortSignal: signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]),
      })
    } catch (error) {
      signal?.throwIfAborted()
      const context = { operation, bucket: this.name, key }
      if (!timeout.signal.aborted) throw storageErrorOf(error, context)
      throw new StorageError(
        'storage-unreachable',
        `S3 did not answer ${operation} in bucket '${this.name}' within ${seconds} seconds`,
        { cause: error, context },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Over TLS, a body that goes with a CRC-32 is not hashed a second time for the signature: TLS protects it from
   * change on its way, and the hash costs about a second of CPU per GB. Over plain HTTP it stays signed.
   */
  unsigned<C extends PutObjectCommand | UploadPartCommand>(command: C, hasChecksum: boolean): C {
    if (!hasChecksum) return command
    const { middlewareStack } = command as PutObjectCommand
    middlewareStack.add(
      (next) => (args) => {
        const request = args.request as { protocol?: string; headers: Record<string, string> }
        if (request.protocol === 'https:') request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
        return next(args)
      },
      { step: 'build', name: 'unsignedPayload' },
    )
    return command
  }
}
