import type { PutObjectCommand, S3Client, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3'
import { KiB } from '../core/bytes.js'
import { StorageError } from '../core/errors.js'
import { codeOf, publish } from '../core/events.js'
import { BlockStream, type PartBuffer } from './part-buffer.js'
import { attemptsOf, storageErrorOf, withoutSecrets } from './s3-errors.js'

export type S3Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
  typeof S3Client.prototype.send<Input, Output>
>[0]

/** A request may take so much longer for its body. */
const slowestBytesPerSecond = 64 * KiB

/** How long a cancelled request is heard out. */
const hearOutMs = 5_000

export interface BucketSettings {
  requestTimeoutSeconds: number
  unsignedPayload: 'tls' | 'always'
}

interface RequestOptions {
  /** As S3 names it. */
  operation: string
  key?: string | undefined
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
  readonly #unsignedPayload: 'tls' | 'always'
  #signsBodies = false

  constructor(client: S3Client, name: string, { requestTimeoutSeconds, unsignedPayload }: BucketSettings) {
    this.client = client
    this.name = name
    this.#timeoutSeconds = requestTimeoutSeconds
    this.#unsignedPayload = unsignedPayload
  }

  /**
   * Sends a command and bounds the time it takes, whatever the client's own settings: a store that falls silent fails
   * the request, it does not hang it.
   *
   * @throws StorageError; the signal's reason when it aborted the request.
   */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    { operation, key, signal, bodyBytes = 0 }: RequestOptions,
  ): Promise<Output> {
    const seconds = this.#timeoutSeconds + Math.ceil(bodyBytes / slowestBytesPerSecond)
    const stop = new AbortController()
    let isLate = false
    // Until the answer only: the body of a GET may take as long as whoever reads it.
    const timer = setTimeout(() => {
      isLate = true
      stop.abort()
    }, seconds * 1000)
    const onAbort = () => stop.abort()
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    let attempts = 0
    try {
      const output = await this.client.send(command, { abortSignal: stop.signal })
      attempts = attemptsOf(output)
      this.#tellOfRetries(output, { operation, key }, null)
      return output
    } catch (error) {
      signal?.throwIfAborted()
      const context = { operation, bucket: this.name, key }
      const failure = isLate
        ? new StorageError(
            'storage-unreachable',
            `S3 did not answer ${operation} in bucket '${this.name}' within ${seconds} seconds`,
            { cause: withoutSecrets(error), context },
          )
        : storageErrorOf(error, context)
      this.#tellOfRetries(error, { operation, key }, failure)
      throw failure
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      // A try that was answered early may still be sending, from memory that is given back now.
      if (bodyBytes > 0 && attempts !== 1) stop.abort()
    }
  }

  #tellOfRetries(outcome: unknown, { operation, key }: RequestOptions, failure: Error | null): void {
    const attempts = attemptsOf(outcome)
    if (attempts === 1) return
    publish('retry', () => ({
      bucket: this.name,
      operation,
      key: key ?? null,
      attempts,
      errorCode: codeOf(failure),
    }))
  }

  /**
   * Whether the bytes of a body are hashed for the signature. Over TLS they are not, where a CRC-32 goes with them: TLS
   * protects them from change on their way, and the hash costs about a second of CPU per GB. Known once a request
   * with a body was sent.
   */
  get signsBodies(): boolean {
    return this.#signsBodies
  }

  /**
   * As `send`, for a command whose body is a part: sent block by block, anew with each try. The SDK does not see the
   * body and so neither copies nor hashes it, and takes it for one that can be sent again.
   *
   * A signal cancels the request as long as some of the body is still here. After that S3 may take the part whether or
   * not somebody waits for the answer, so it is waited for, for at most five seconds: what comes next, such as an abort
   * of the upload, must come after it.
   *
   * The header `Expect: 100-continue` is left out: for its sake the SDK opens a connection for each request, and what it
   * can save is one part at the most.
   */
  async sendWithBody<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    part: PartBuffer,
    options: RequestOptions,
  ): Promise<Output> {
    const { signal } = options
    const cancel = signal === undefined ? undefined : new AbortController()
    const stop = () => cancel?.abort(signal?.reason)
    let body: Buffer | BlockStream | undefined
    let deadline: NodeJS.Timeout | undefined
    const onAbort = () => {
      if (body === undefined || (body instanceof BlockStream && !body.isTaken)) stop()
      else deadline = setTimeout(stop, hearOutMs)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    const { middlewareStack } = command as unknown as PutObjectCommand
    middlewareStack.add(
      (next) => (args) => {
        const { protocol, headers } = args.request as HttpRequest
        this.#signsBodies =
          this.#unsignedPayload === 'tls' && (protocol !== 'https:' || part.crc === undefined)
        headers['x-amz-content-sha256'] = this.#signsBodies ? part.sha256() : 'UNSIGNED-PAYLOAD'
        delete headers.Expect
        return next(args)
      },
      { step: 'build', priority: 'low', name: 'describeBody' },
    )
    middlewareStack.add(
      (next) => async (args) => {
        if (signal?.aborted) stop() // No other try.
        const request = args.request as HttpRequest
        body = part.body()
        request.body = body
        try {
          return await next(args)
        } finally {
          delete request.body // Whoever tries again must find none, or takes it for a stream that is used up.
        }
      },
      { step: 'deserialize', priority: 'low', name: 'attachBody' },
    )
    try {
      return await this.send(command, { ...options, signal: cancel?.signal, bodyBytes: part.length })
    } finally {
      clearTimeout(deadline)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}

/** A request as the SDK builds it, as far as it is touched here. */
interface HttpRequest {
  protocol?: string
  headers: Record<string, string>
  body?: unknown
}
