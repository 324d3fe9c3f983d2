import type { S3Client, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3'
import { unlessAborted } from '../core/unless-aborted.js'
import { BlockStream, type PartBuffer } from './part-buffer.js'
import { assertFromS3, type HttpAnswer } from './s3-answers.js'
import { isWithoutConnection } from './s3-errors.js'

export type S3Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
  typeof S3Client.prototype.send<Input, Output>
>[0]

/** A request as the SDK builds it, as far as it is touched here. */
export interface HttpRequest {
  protocol?: string
  headers: Record<string, string>
  body?: unknown
}

interface RequestOptions {
  /** As S3 names it: what an answer must have depends on it. */
  operation: string
  /** How long it may take, all tries together. */
  seconds: number
  signal?: AbortSignal | undefined
  /** Sent as the body, anew with each try. */
  part?: PartBuffer | undefined
  /** Called with the built request, before it is signed. */
  onBuilt?: (request: HttpRequest) => void
  /** Called when all of a part was sent and no answer came: the store may take it yet. */
  onUnheard?: (() => void) | undefined
}

/** How long a cancelled request whose body is sent is heard out. */
const hearOutMs = 5_000

/** Under this the input of a command has its request, for `requestHooks` to find. */
const owner = Symbol('S3Request')

/**
 * One request on its way: what it is sent with, and what ends it. It is told by the command's input and not by options of
 * `send`, with which the SDK puts its middleware together anew for each request, a fifth of a small one's work.
 */
export class S3Request {
  readonly #client: S3Client
  #options: RequestOptions
  readonly #stop = new AbortController()
  #body: Buffer | BlockStream | undefined
  #isTrying = false
  #isLate = false
  #mayHaveArrived = false
  #reject: (reason: unknown) => void = () => undefined

  constructor(client: S3Client, options: RequestOptions) {
    this.#client = client
    this.#options = options
  }

  /** Whether it was ended because its time was up. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** Whether the signal has ended it: with a body of which all was sent it may have been too late for that. */
  get isCancelled(): boolean {
    return this.#stop.signal.aborted && !this.#isLate
  }

  /** Whether some of a try may have reached the store. */
  get mayHaveArrived(): boolean {
    return this.#mayHaveArrived
  }

  /** @throws what the SDK throws; when it was ended, any error. */
  send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: S3Command<Input, Output>,
    ...sdkOptions: [] | [object]
  ): Promise<Output> {
    const { seconds, signal } = this.#options
    // Until the answer only: the body of a GET may take as long as whoever reads it.
    const timer = setTimeout(() => {
      this.#isLate = true
      this.end()
    }, seconds * 1000)
    let hearingOut: NodeJS.Timeout | undefined
    const onAbort = () => {
      if (this.#isTrying && this.#isSent) hearingOut = setTimeout(() => this.end(), hearOutMs)
      else this.end()
    }
    ;(command.input as Owned)[owner] = this
    const sent = new Promise<Output>((resolve, reject) => {
      this.#reject = reject
      if (signal?.aborted) onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      Promise.resolve(this.#client.send(command, ...sdkOptions)).then(resolve, reject)
    })
    return sent.finally(() => {
      clearTimeout(timer)
      clearTimeout(hearingOut)
      signal?.removeEventListener('abort', onAbort)
      // The middleware that the SDK keeps has the first command, and with it this.
      this.#options = { operation: this.#options.operation, seconds }
      this.#body = undefined
    })
  }

  /** Ends what is under way, and lets no other try begin. */
  end(): void {
    this.#stop.abort()
    if (!this.#isTrying) this.#reject(this.#stop.signal.reason) // The SDK may be waiting for the next try.
  }

  /** Whether all of the body has gone to the socket. */
  get #isSent(): boolean {
    return this.#body instanceof BlockStream ? this.#body.isTaken : this.#body !== undefined
  }

  built(request: HttpRequest): void {
    this.#options.onBuilt?.(request)
  }

  /** As the SDK's own last step, but for the signal, the body and what counts as an answer. */
  async try(request: HttpRequest): Promise<{ response: unknown }> {
    const { requestHandler, streamCollector } = this.#client.config
    this.#isTrying = true
    this.#body = undefined
    let response: HttpAnswer | undefined
    try {
      if (this.#options.signal?.aborted) this.end() // No other try.
      this.#stop.signal.throwIfAborted()
      if (this.#options.part !== undefined) {
        this.#body = this.#options.part.body()
        request.body = this.#body
      }
      const answer = await this.#handle(requestHandler, request)
      response = answer.response as HttpAnswer
      const checked = assertFromS3(this.#options.operation, request, response, streamCollector)
      await unlessAborted(this.#stop.signal, checked)
      return answer
    } catch (error) {
      ;(response?.body as { destroy?: () => void } | undefined)?.destroy?.()
      if (this.#isSent) this.#options.onUnheard?.()
      throw error
    } finally {
      this.#isTrying = false
      // Whoever tries again must find none, or takes it for a stream that is used up.
      if (this.#options.part !== undefined) request.body = undefined
    }
  }

  async #handle(handler: S3Client['config']['requestHandler'], request: HttpRequest) {
    try {
      const answer = await handler.handle(request as never, { abortSignal: this.#stop.signal })
      this.#mayHaveArrived = true
      return answer
    } catch (error) {
      this.#mayHaveArrived ||= !isWithoutConnection(error)
      throw error
    }
  }
}

interface Owned {
  [owner]?: S3Request
}

/** For the middleware of a client, or of a command, that an `S3Request` sends. */
export const requestHooks: Parameters<S3Client['middlewareStack']['use']>[0] = {
  applyToStack(stack) {
    stack.add(
      (next) => (args) => {
        ;(args.input as Owned)[owner]?.built(args.request as HttpRequest)
        return next(args)
      },
      { step: 'build', priority: 'low', name: 'typeormS3FileBuilt', override: true },
    )
    stack.add(
      (next) => (args) =>
        ((args.input as Owned)[owner]?.try(args.request as HttpRequest) as never) ?? next(args),
      { step: 'deserialize', priority: 'low', name: 'typeormS3FileTry', override: true },
    )
  },
}
