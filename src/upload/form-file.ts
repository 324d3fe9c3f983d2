import { UploadError } from '../core/errors.js'
import type { ByteSink, ByteSource } from './byte-source.js'

/** What a file of a form can do to the reading of the form. */
export interface FormFlow {
  hold: () => void
  release: () => void
  fail: (error: unknown) => void
  freeChunk: (chunk: Buffer) => void
}

/** A file of a form, of which some has come: it holds back the whole form when it is paused. */
export class FormFile implements ByteSource {
  readonly #flow: FormFlow
  #sink: ByteSink | undefined
  #hasEnded = false

  constructor(flow: FormFlow) {
    this.#flow = flow
  }

  sendTo(sink: ByteSink): void {
    this.#sink = sink
  }

  pause(): void {
    if (!this.#hasEnded) this.#flow.hold()
  }

  resume(): void {
    if (!this.#hasEnded) this.#flow.release()
  }

  destroy(error: Error | undefined): void {
    if (error !== undefined) this.#flow.fail(error)
    else this.#flow.release()
  }

  freeChunk(chunk: Buffer): void {
    this.#flow.freeChunk(chunk)
  }

  write(chunk: Buffer): void {
    this.#sink?.write(chunk)
  }

  end(): void {
    this.#flow.release() // It will not ask for more.
    this.#hasEnded = true
    this.#sink?.end()
  }

  /** The form has failed; a handler may reject with anything, even with nothing. */
  fail(reason: unknown): void {
    this.#sink?.fail(
      reason instanceof Error
        ? reason
        : new UploadError('truncated-body', 'the form failed before its end', { cause: reason }),
    )
  }
}
