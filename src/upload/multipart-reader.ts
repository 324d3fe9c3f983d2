import type { Readable } from 'node:stream'
import busboy, { type Busboy, type BusboyConfig, type FileInfo } from 'busboy'
import { isS3FileError, type S3FileErrorCode, UploadError } from '../core/errors.js'
import { fieldTooLarge, type ResolvedFormLimits, requestTooLarge, tooMany } from './form-limits.js'
import type { RequestSource } from './request-source.js'

/** A file as it comes in a form. */
interface FilePart {
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

class MultipartReader {
  readonly #source: RequestSource
  readonly #limits: ResolvedFormLimits
  readonly #handlers: FormHandlers
  readonly #stop: AbortSignal
  readonly #outcome: Outcome
  readonly #parser: Busboy
  readonly #openFiles = new Set<Readable>()
  readonly #tasks: Promise<void>[] = []
  #receivedBytes = 0
  #files = 0
  #fields = 0
  #fieldBytes = 0
  #hasEnded = false
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
    this.#parser = createParser(source, limits)
  }

  start(): void {
    const { body, contentLength, signal } = this.#source
    this.#parser
      .on('file', (field, stream, info) => this.#attempt(() => this.#onFile(field, stream, info)))
      .on('field', (name, value, info) => this.#attempt(() => this.#onField(name, value, info.nameTruncated)))
      .on('partsLimit', () => this.#fail(tooMany('parts', this.#limits)))
      .on('error', (error) => this.#fail(error))
      .on('drain', () => body.resume())
      .on('close', () => this.#onParsed())
    if (contentLength !== undefined && contentLength > this.#limits.requestSizeBytes) {
      this.#fail(requestTooLarge(this.#limits))
      return
    }
    if (signal?.aborted) {
      this.#fail(clientGone())
      return
    }
    if (this.#stop.aborted) {
      this.#onStop()
      return
    }
    signal?.addEventListener('abort', this.#onGone)
    this.#stop.addEventListener('abort', this.#onStop)
    body.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onGone).on('close', this.#onGone)
  }

  /** Written to directly rather than piped: `pipe` costs more, and leaves the parser open when the client goes. */
  readonly #onData = (chunk: Buffer) => {
    this.#receivedBytes += chunk.length
    if (this.#receivedBytes > this.#limits.requestSizeBytes) {
      this.#fail(requestTooLarge(this.#limits))
      return
    }
    this.#handlers.onReceived(this.#receivedBytes)
    if (!this.#parser.write(chunk) && !this.#isSettled) this.#source.body.pause()
  }

  readonly #onEnd = () => {
    this.#hasEnded = true
    const { contentLength } = this.#source
    if (contentLength !== undefined && this.#receivedBytes !== contentLength) {
      // Some proxies cut a body and end it as if it were whole.
      this.#fail(
        new UploadError(
          'truncated-body',
          `the body ended after ${this.#receivedBytes} of ${contentLength} bytes; a proxy in between may have a limit`,
          { context: { receivedBytes: this.#receivedBytes, contentLength } },
        ),
      )
      return
    }
    this.#parser.end()
  }

  readonly #onStop = () => this.#fail(this.#stop.reason)

  readonly #onGone = (cause?: unknown) => {
    if (!this.#hasEnded) this.#fail(clientGone(cause))
  }

  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#fail(error)
    }
  }

  #onFile(field: string, stream: Readable, info: FileInfo): void {
    // Attached at once: a body that breaks off fails the stream as well as the parser.
    stream.on('error', (error) => this.#fail(error))
    if (this.#isSettled) {
      stream.resume()
      return
    }
    this.#assertName(field)
    if (info.filename === undefined) {
      this.#skipNameless(field, stream)
      return
    }
    if (++this.#files > this.#limits.files) throw tooMany('files', this.#limits)
    if (info.encoding.toLowerCase() === 'base64') {
      throw new UploadError(
        'malformed-body',
        `the file in field '${field}' is sent in base64, which forms do not use`,
      )
    }
    this.#openFiles.add(stream)
    stream.on('close', () => this.#openFiles.delete(stream))
    const part = { field, filename: info.filename, contentType: info.mimeType, stream }
    this.#tasks.push(this.#handlers.onFile(part).catch((error: unknown) => this.#fail(error)))
  }

  /** A browser sends an empty file input as a file without name and bytes: nothing was chosen. */
  #skipNameless(field: string, stream: Readable): void {
    stream.once('data', () => {
      this.#fail(new UploadError('malformed-body', `the file in field '${field}' has no name`))
    })
  }

  #onField(name: string, value: string, isNameTruncated: boolean): void {
    if (this.#isSettled) return
    if (isNameTruncated) throw fieldTooLarge('fieldNameSizeBytes', this.#limits, name)
    this.#assertName(name)
    if (++this.#fields > this.#limits.fields) throw tooMany('fields', this.#limits)
    const bytes = Buffer.byteLength(value)
    if (bytes > this.#limits.fieldSizeBytes) throw fieldTooLarge('fieldSizeBytes', this.#limits, name)
    this.#fieldBytes += bytes
    if (this.#fieldBytes > this.#limits.allFieldsSizeBytes)
      throw fieldTooLarge('allFieldsSizeBytes', this.#limits, name)
    this.#handlers.onField(name, value)
  }

  /** Busboy reports a part whose headers name no field with an undefined name. */
  #assertName(name: string | undefined): void {
    if (name === undefined) throw new UploadError('malformed-body', 'a part of the form has no field name')
    if (Buffer.byteLength(name) > this.#limits.fieldNameSizeBytes)
      throw fieldTooLarge('fieldNameSizeBytes', this.#limits, name)
    if (this.#files + this.#fields >= this.#limits.parts) throw tooMany('parts', this.#limits)
  }

  #onParsed(): void {
    if (this.#isSettled) return
    if (!this.#hasEnded) {
      this.#fail(new UploadError('malformed-body', 'the form could not be read to its end'))
      return
    }
    Promise.all(this.#tasks).then(() => {
      if (this.#isSettled) return
      this.#settle()
      this.#outcome.resolve()
    })
  }

  #fail(cause: unknown): void {
    if (this.#isSettled) return
    const error = multipartErrorOf(cause)
    this.#settle()
    this.#handlers.onFailure(error)
    this.#parser.on('error', () => undefined) // The first failure is the one that counts.
    this.#parser.destroy()
    for (const stream of this.#openFiles) stream.destroy(error as Error)
    this.#source.discard()
    Promise.all(this.#tasks).then(() => this.#outcome.reject(error))
  }

  #settle(): void {
    this.#isSettled = true
    const { body, signal } = this.#source
    signal?.removeEventListener('abort', this.#onGone)
    this.#stop.removeEventListener('abort', this.#onStop)
    body
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('close', this.#onGone)
      .off('error', this.#onGone)
    body.on('error', () => undefined) // A client that goes now has nothing left to break.
  }
}

function createParser(
  { contentType, contentEncoding = 'identity', discard }: RequestSource,
  limits: ResolvedFormLimits,
): Busboy {
  if (contentType === undefined || !/^multipart\/form-data\b/i.test(contentType.trim())) {
    discard()
    throw new UploadError(
      'not-multipart',
      `the body is ${contentType ?? 'of no type'}, not multipart/form-data`,
      {
        context: { contentType },
      },
    )
  }
  if (contentEncoding.toLowerCase() !== 'identity') {
    discard()
    throw new UploadError(
      'type-not-accepted',
      `the body is encoded with ${contentEncoding}; it must be sent as it is`,
      {
        context: { contentEncoding },
      },
    )
  }
  try {
    return busboy({
      headers: { 'content-type': contentType },
      defParamCharset: 'utf8',
      limits: {
        // Busboy cuts a value of exactly its limit too, so it gets one byte more and the value is compared here.
        fieldSize: limits.fieldSizeBytes + 1,
        fieldNameSize: limits.fieldNameSizeBytes + 1,
        parts: limits.parts + 1,
        fileSize: Number.POSITIVE_INFINITY,
      },
    } as BusboyConfig)
  } catch (cause) {
    discard()
    throw new UploadError(
      'not-multipart',
      `the body's type is '${contentType}', which names no usable boundary`,
      {
        cause,
        context: { contentType },
      },
    )
  }
}

const codeByMessage: [RegExp, S3FileErrorCode, string][] = [
  [/unexpected end/i, 'truncated-body', 'the form breaks off before its end'],
  [/malformed part header/i, 'malformed-body', 'a part of the form has a malformed header'],
]

function multipartErrorOf(error: unknown): unknown {
  if (isS3FileError(error)) return error
  const message = error instanceof Error ? error.message : String(error)
  const known = codeByMessage.find(([pattern]) => pattern.test(message))
  if (known !== undefined) return new UploadError(known[1], known[2], { cause: error })
  return error
}

function clientGone(cause?: unknown): UploadError {
  return new UploadError('client-gone', 'the client was gone before the upload was complete', { cause })
}
