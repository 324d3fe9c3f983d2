import { Readable } from 'node:stream'
import { KiB } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'
import { formBoundary } from './form-boundary.js'
import { type ResolvedFormLimits, tooLarge } from './form-limits.js'
import { FormSplitter } from './form-splitter.js'
import { FormTally } from './form-tally.js'
import { IncomingField } from './incoming-field.js'
import { type PartHeader, parsePartHeader } from './part-header.js'
import type { RequestSource } from './request-source.js'
import { SmallChunks } from './small-chunks.js'
import { TransferPace } from './transfer-pace.js'

/** A file as it comes in a form. */
export interface FilePart {
  field: string
  filename: string
  contentType: string
  stream: Readable
}

export interface FormHandlers {
  /** Takes a file; its rejection ends the reading. The stream must be read to its end. */
  onFile: (part: FilePart) => Promise<void>
  onField: (name: string, value: string) => void
  /** Called with the bytes of the body that have come so far. */
  onReceived: (bytes: number) => void
  /** Called with the first failure, before anything is waited for. */
  onFailure: (error: unknown) => void
}

/**
 * Reads a multipart/form-data body to its end and resolves when all files have been taken. With the first failure
 * it stops parsing, fails the file streams, lets the rest of the body go by, waits for the handlers, and rejects.
 * Aborting `stop` is such a failure, with its reason.
 *
 * @throws UploadError for a body that is no form, breaks off, or exceeds a limit; `client-gone`; what a handler threw.
 */
export function readMultipart(
  source: RequestSource,
  limits: ResolvedFormLimits,
  stop: AbortSignal,
  handlers: FormHandlers,
): Promise<void> {
  return new Promise((resolve, reject) => {
    new MultipartReader(source, limits, stop, handlers, { resolve, reject }).start()
  })
}

interface Outcome {
  resolve: () => void
  reject: (error: unknown) => void
}

/** No more than a chunk waits here: uploads that are held back are many, and each has one in every stream. */
const fileBufferBytes = 16 * KiB

class MultipartReader {
  readonly #source: RequestSource
  readonly #limits: ResolvedFormLimits
  readonly #handlers: FormHandlers
  readonly #stop: AbortSignal
  readonly #outcome: Outcome
  readonly #chunks: SmallChunks
  readonly #splitter: FormSplitter
  readonly #tally: FormTally
  readonly #pace: TransferPace
  readonly #openFiles = new Set<Readable>()
  readonly #tasks: Promise<void>[] = []
  #unwatch = () => {}
  /** What the content belongs to that comes at the moment. */
  #part: Readable | IncomingField | undefined
  #receivedBytes = 0
  #isHeld = false
  #isSettled = false

  constructor(
    source: RequestSource,
    limits: ResolvedFormLimits,
    stop: AbortSignal,
    handlers: FormHandlers,
    outcome: Outcome,
  ) {
    this.#source = source
    this.#limits = limits
    this.#handlers = handlers
    this.#stop = stop
    this.#outcome = outcome
    this.#splitter = new FormSplitter(formBoundary(source), limits, {
      onHeader: (bytes) => this.#onPart(parsePartHeader(bytes)),
      onContent: (bytes) => this.#onContent(bytes),
      onPartEnd: () => this.#onPartEnd(),
    })
    this.#chunks = new SmallChunks((chunk) => this.#attempt(() => this.#splitter.write(chunk)))
    this.#tally = new FormTally(limits)
    this.#pace = new TransferPace(limits, (error) => this.#fail(error))
  }

  start(): void {
    const { body, contentLength } = this.#source
    if (contentLength !== undefined && contentLength > this.#limits.requestSizeBytes) {
      this.#fail(this.#requestTooLarge())
      return
    }
    if (this.#stop.aborted) {
      this.#onStop()
      return
    }
    this.#stop.addEventListener('abort', this.#onStop)
    this.#unwatch = this.#source.watch((error) => this.#fail(error))
    if (this.#isSettled) return
    this.#pace.start()
    body.on('data', this.#onData).on('end', this.#onEnd)
  }

  readonly #onData = (chunk: Buffer) => {
    this.#receivedBytes += chunk.length
    if (this.#receivedBytes > this.#limits.requestSizeBytes) {
      this.#fail(this.#requestTooLarge())
      return
    }
    this.#pace.received(chunk.length)
    this.#handlers.onReceived(this.#receivedBytes)
    this.#chunks.add(chunk)
  }

  readonly #onEnd = () => {
    this.#pace.stop()
    this.#chunks.flush()
    this.#attempt(() => this.#assertComplete())
    if (this.#isSettled) return
    Promise.all(this.#tasks).then(() => {
      if (this.#isSettled) return
      this.#settle()
      this.#outcome.resolve()
    })
  }

  #assertComplete(): void {
    const { contentLength } = this.#source
    if (contentLength !== undefined && this.#receivedBytes !== contentLength) {
      // Some proxies cut a body and end it as if it were whole.
      throw new UploadError(
        'truncated-body',
        `the body ended after ${this.#receivedBytes} of ${contentLength} bytes; a proxy in between may have a limit`,
        { context: { receivedBytes: this.#receivedBytes, contentLength } },
      )
    }
    this.#splitter.end()
  }

  readonly #onStop = () => this.#fail(this.#stop.reason)

  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#fail(error)
    }
  }

  #onPart(header: PartHeader): void {
    this.#tally.addPart(header)
    this.#part = header.isFile ? this.#openFile(header) : new IncomingField(header, this.#tally)
  }

  #onContent(bytes: Buffer): void {
    if (this.#part instanceof IncomingField) this.#part.push(bytes)
    else if (this.#part?.push(bytes) === false) this.#hold()
  }

  #onPartEnd(): void {
    if (this.#part instanceof IncomingField) this.#handlers.onField(this.#part.name, this.#part.text())
    else this.#part?.push(null)
    this.#part = undefined
  }

  #openFile({ name, filename, contentType, encoding }: PartHeader): Readable {
    const stream = new Readable({ highWaterMark: fileBufferBytes, read: this.#resume })
    if (filename === undefined) {
      // A browser sends an empty file input as a file without name and bytes: nothing was chosen.
      return stream.once('data', () => {
        this.#fail(new UploadError('malformed-body', `the file in field '${name}' has no name`))
      })
    }
    if (encoding === 'base64' || encoding === 'quoted-printable') {
      throw new UploadError(
        'malformed-body',
        `the file in field '${name}' is sent in ${encoding}, which forms do not use`,
      )
    }
    this.#openFiles.add(stream)
    stream
      .on('error', (error) => this.#fail(error))
      .on('end', this.#resume) // What is read to its end asks for no more.
      .on('close', () => this.#openFiles.delete(stream))
    const part = { field: name, filename, contentType, stream }
    this.#tasks.push(this.#handlers.onFile(part).catch((error: unknown) => this.#fail(error)))
    return stream
  }

  #hold(): void {
    if (this.#isHeld || this.#isSettled) return
    this.#isHeld = true
    this.#pace.hold()
    this.#source.body.pause()
  }

  readonly #resume = () => {
    if (!this.#isHeld || this.#isSettled) return
    this.#isHeld = false
    this.#pace.release()
    this.#source.body.resume()
  }

  #fail(error: unknown): void {
    if (this.#isSettled) return
    this.#settle()
    this.#handlers.onFailure(error)
    for (const stream of this.#openFiles) stream.destroy(error as Error)
    this.#source.discard()
    Promise.all(this.#tasks).then(() => this.#outcome.reject(error))
  }

  #settle(): void {
    this.#isSettled = true
    this.#pace.stop()
    this.#chunks.stop()
    this.#splitter.stop()
    this.#unwatch()
    this.#stop.removeEventListener('abort', this.#onStop)
    this.#source.body.off('data', this.#onData).off('end', this.#onEnd)
  }

  #requestTooLarge(): UploadError {
    return tooLarge('requestSizeBytes', this.#limits, 'the request')
  }
}
