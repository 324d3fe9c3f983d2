import type { S3Client, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3'
import { KiB } from '../core/bytes.js'
import { isS3FileError, StorageError } from '../core/errors.js'
import { codeOf, publish } from '../core/events.js'
import type { PartBuffer } from './part-buffer.js'
import { attemptsOf, type SentRequest, storageErrorOf, withoutSecrets } from './s3-errors.js'
import { type HttpRequest, requestHooks, type S3Command, S3Request } from './s3-request.js'

/** A request may take so much longer for its body. */
const slowestBytesPerSecond = 64 * KiB

export interface BucketSettings {
  requestTimeoutSeconds: number
  unsignedPayload: 'tls' | 'always'
  /** Whether nobody else has a say in the client's middleware, so that it can be kept from one request to the next. */
  ownsClient: boolean
}

interface RequestOptions {
  /** As S3 names it. */
  operation: string
  key?: string | undefined
  signal?: AbortSignal | undefined
  /**
   * What the body is: sent block by block, anew with each try. The SDK does not see it and so neither copies nor hashes it,
   * and takes it for one that can be sent again.
   */
  part?: PartBuffer
  /** Called when all of the part was sent and no answer came: the store may take it yet, whatever comes of other tries. */
  onUnheard?: () => void
}

/** One bucket of one client: sends commands and puts their errors into this package's words. */
export class S3Bucket {
  readonly client: S3Client
  readonly name: string
  /** Until the store has refused a write with `If-None-Match` and taken the same one without. */
  knowsIfNoneMatch = true
  /** Whether the store has done a DeleteObjects, or has refused it and done DeleteObject; undefined until then. */
  knowsDeleteObjects: boolean | undefined

  readonly #timeoutSeconds: number
  readonly #unsignedPayload: 'tls' | 'always'
  readonly #ownsClient: boolean
  #signsBodies = false

  constructor(
    client: S3Client,
    name: string,
    { requestTimeoutSeconds, unsignedPayload, ownsClient }: BucketSettings,
  ) {
    this.client = client
    this.name = name
    this.#timeoutSeconds = requestTimeoutSeconds
    this.#unsignedPayload = unsignedPayload
    this.#ownsClient = ownsClient
    if (ownsClient) client.middlewareStack.use(requestHooks)
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
   * Sends a command and bounds the time it takes, whatever the client's own settings: a store that falls silent fails
   * the request, it does not hang it. An answer that no S3 store gives is a failure, whatever its status: `s3-answers.ts`.
   *
   * A signal cancels the request as long as some of a part is still here. After that S3 may take it whether or not
   * somebody waits for the answer, so it is waited for, for at most five seconds: what comes next, such as an abort
   * of the upload, must come after it.
   *
   * @throws StorageError, with `context.neverSent` where nothing can have reached the store; the signal's reason when it
   *   aborted the request.
   */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    { operation, key, signal, part, onUnheard }: RequestOptions,
  ): Promise<Output> {
    const seconds = this.#timeoutSeconds + Math.ceil((part?.length ?? 0) / slowestBytesPerSecond)
    const onBuilt = (built: HttpRequest) => {
      if (part !== undefined) this.#describeBody(built, part)
    }
    const request = new S3Request(this.client, { operation, seconds, signal, part, onBuilt, onUnheard })
    if (!this.#ownsClient)
      (command as unknown as Pick<S3Client, 'middlewareStack'>).middlewareStack.use(requestHooks)
    let attempts = 0
    try {
      const output = await request.send(command, ...(this.#ownsClient ? [] : [{}]))
      attempts = attemptsOf(output)
      this.#tellOfRetries(output, { operation, key }, null)
      return output
    } catch (error) {
      if (request.isCancelled) throw signal?.reason
      const context = { operation, bucket: this.name, key }
      const failure = request.isLate
        ? new StorageError(
            'storage-unreachable',
            `S3 did not answer ${operation} in bucket '${this.name}' within ${seconds} seconds`,
            { cause: withoutSecrets(error), context },
          )
        : storageErrorOf(error, context, await this.#describe(command.input))
      if (isS3FileError(failure) && !request.mayHaveArrived) failure.context.neverSent = true
      this.#tellOfRetries(error, { operation, key }, failure)
      throw failure
    } finally {
      // A try that was answered early may still be sending, from memory that is given back now.
      if (part !== undefined && attempts !== 1) request.end()
    }
  }

  /**
   * The header `Expect: 100-continue` is left out: for its sake the SDK opens a connection for each request, and what it
   * can save is one part at the most.
   */
  #describeBody({ protocol, headers }: HttpRequest, part: PartBuffer): void {
    this.#signsBodies = this.#unsignedPayload === 'tls' && (protocol !== 'https:' || part.crc === undefined)
    headers['x-amz-content-sha256'] = this.#signsBodies ? part.sha256() : 'UNSIGNED-PAYLOAD'
    delete headers.Expect
  }

  async #describe(input: object): Promise<SentRequest> {
    const { ChecksumCRC32, ChecksumAlgorithm } = input as {
      ChecksumCRC32?: string
      ChecksumAlgorithm?: string
    }
    const region = await this.client.config.region().catch(() => undefined)
    return { hasChecksum: (ChecksumCRC32 ?? ChecksumAlgorithm) !== undefined, region }
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
}
