import type {
  PutObjectCommand,
  S3Client,
  ServiceInputTypes,
  ServiceOutputTypes,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { storageErrorOf } from './s3-errors.js'

type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
  typeof S3Client.prototype.send<Input, Output>
>[0]

/** One bucket of one client: sends commands and puts their errors into this package's words. */
export class S3Bucket {
  readonly client: S3Client
  readonly name: string
  /** Until the store has said that it does not know `If-None-Match` on a write. */
  knowsIfNoneMatch = true

  constructor(client: S3Client, name: string) {
    this.client = client
    this.name = name
  }

  /**
   * @throws StorageError; the signal's reason when it aborted the request.
   */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    { operation, key, signal }: { operation: string; key?: string; signal?: AbortSignal | undefined },
  ): Promise<Output> {
    try {
      return await this.client.send(command, signal === undefined ? {} : { abortSignal: signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw storageErrorOf(error, { operation, bucket: this.name, ...(key === undefined ? {} : { key }) })
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
