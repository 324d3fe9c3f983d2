import { UploadError } from '../core/errors.js'
import type { ByteSource } from './byte-source.js'
import { type FieldShare, fieldMemory } from './field-memory.js'
import { formBoundary } from './form-boundary.js'
import { FormFile } from './form-file.js'
import { type ResolvedFormLimits, tooLarge } from './form-limits.js'
import { FormSplitter } from './form-splitter.js'
import { FormTally } from './form-tally.js'
import { IncomingField } from './incoming-field.js'
import { type PartHeader, parsePartHeader } from './part-header.js'
import type { RequestSource } from './request-source.js'
import { SmallChunks } from './small-chunks.js'
import { TransferPace } from './transfer-pace.js'
import { uploadSlots } from './upload-slots.js'

/** A file as it comes in a form. */
export interface FilePart {
  field: string
  /** Undefined for a file that came without a name. */
  filename: string | undefined
  contentType: string
  bytes: ByteSource
}

export interface FormHandlers {
  /** Takes a file, whose bytes come from now on; its rejection ends the reading. */
  onFile: (part: FilePart) => Promise<void>
  /** Called with the name of a field that is text, before its value. */
  onText: (name: string) => void
  /** Without it, fields are counted but not kept. */
  onField: ((name: string, value: string) => void) | undefined
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

/** A part of the form, as its content comes. */
interface OpenPart {
  write(bytes: Buffer): void
  end(): void
}

class MultipartReader {
  readonly #source: RequestSource
  readonly #limits: ResolvedFormLimits
  readonly #handlers: FormHandlers
  readonly #stop: AbortSignal
  readonly #outcome: Outcome
  readonly #chunks: SmallChunks
  readonly #splitter: FormSplitter
  readonly #tally: FormTally
  readonly #fieldShare: FieldShare | undefined
  readonly #pace: TransferPace
  readonly #flow = {
    hold: () => this.#hold(),
    release: () => this.#release(),
    fail: (error: unknown) => this.#fail(error),
    freeChunk: (chunk: Buffer) => this.#source.freeChunk(chunk),
  }
  readonly #tasks: Promise<void>[] = []
  #unwatch = () => {}
  /** What the content belongs to that comes at the moment. */
  #part: OpenPart | undefined
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
      onHeader: (bytes) => {
        this.#part = this.#openPart(parsePartHeader(bytes))
      },
      onContent: (bytes) => this.#part?.write(bytes),
      onPartEnd: () => {
        this.#part?.end()
        this.#part = undefined
      },
    })
    this.#chunks = new SmallChunks((chunk) => this.#attempt(() => this.#splitter.write(chunk)))
    this.#fieldShare =
      handlers.onField === undefined ? undefined : fieldMemory.share((error) => this.#fail(error))
    this.#tally = new FormTally(limits, this.#fieldShare)
    this.#pace = new TransferPace(
      limits,
      () => uploadSlots.leastBytesPerSecond,
      (error) => this.#fail(error),
    )
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
    this.#attempt(() => this.#source.flow())
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
    try {
      this.#assertComplete()
    } catch (error) {
      this.#source.goneError().then((gone) => this.#fail(gone ?? error))
      return
    }
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

  #openPart(header: PartHeader): OpenPart {
    this.#tally.addPart(header)
    if (!header.isFile) {
      this.#handlers.onText(header.name)
      return new IncomingField(header, this.#tally, this.#handlers.onField)
    }
    if (header.filename !== undefined) return this.#openFile(header)
    // A file input in which nothing was chosen comes as a file without name and bytes.
    const openFile = (firstBytes: Buffer) => {
      this.#part = this.#openFile(header)
      this.#part.write(firstBytes)
    }
    return { write: openFile, end: () => undefined }
  }

  #openFile({ name, filename, contentType, encoding }: PartHeader): FormFile {
    this.#tally.addFile()
    if (encoding === 'base64' || encoding === 'quoted-printable') {
      throw new UploadError(
        'malformed-body',
        `the file in field '${name}' is sent in ${encoding}, which forms do not use`,
      )
    }
    const bytes = new FormFile(this.#flow)
    const task = this.#handlers.onFile({ field: name, filename, contentType, bytes })
    this.#tasks.push(task.catch((error: unknown) => this.#fail(error)))
    return bytes
  }

  #hold(): void {
    if (this.#isHeld || this.#isSettled) return
    this.#isHeld = true
    this.#pace.hold()
    this.#source.body.pause()
  }

  #release(): void {
    if (!this.#isHeld || this.#isSettled) return
    this.#isHeld = false
    this.#pace.release()
    this.#source.body.resume()
  }

  #fail(error: unknown): void {
    if (this.#isSettled) return
    this.#settle()
    this.#handlers.onFailure(error)
    if (this.#part instanceof FormFile) this.#part.fail(error)
    this.#part = undefined // A field lets its memory go.
    this.#source.discard()
    Promise.all(this.#tasks).then(() => this.#outcome.reject(error))
  }

  #settle(): void {
    this.#isSettled = true
    this.#pace.stop()
    this.#chunks.stop()
    this.#splitter.stop()
    this.#fieldShare?.release()
    this.#unwatch()
    this.#stop.removeEventListener('abort', this.#onStop)
    this.#source.body.off('data', this.#onData).off('end', this.#onEnd)
  }

  #requestTooLarge(): UploadError {
    return tooLarge('requestSizeBytes', this.#limits, 'the request')
  }
}
