import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { ConfigurationError, isS3FileError, UploadError } from '../core/errors.js'
import { clientGone, isAborted } from './client-gone.js'

/** Takes the bytes of a file as they come. */
export interface ByteSink {
  write(chunk: Buffer): void
  end(): void
  /** The source has failed: no end will come. */
  fail(error: Error): void
}

/**
 * Where the bytes of a file come from, for one sink: a stream without a buffer of its own, of which each file on its way
 * would hold one.
 */
export interface ByteSource {
  /** Begins to send, as fast as it can. */
  sendTo(sink: ByteSink): void
  pause(): void
  resume(): void
  /** Nothing more is wanted. */
  destroy(error: Error | undefined): void
  /** The sink, and whoever it passed a chunk to, needs it no more. */
  freeChunk(chunk: Buffer): void
}

/** A stream of the application's: of bytes, or of objects that are views of bytes or text. */
export class ReadableSource implements ByteSource {
  readonly #stream: Readable
  /** What ended the upload, and the stream with it. */
  #reason: Error | undefined

  constructor(stream: Readable) {
    this.#stream = stream
  }

  sendTo(sink: ByteSink): void {
    const stream = this.#stream
    let hasEnded = false
    const onClose = () => {
      if (hasEnded) return
      sink.fail(this.#failure(stream.errored))
    }
    stream.on('error', (error) => sink.fail(this.#failure(error)))
    if (stream.destroyed) {
      onClose()
      return
    }
    stream
      .on('data', (chunk: unknown) => {
        try {
          sink.write(bytesOf(chunk))
        } catch (error) {
          sink.fail(error as Error)
        }
      })
      .on('end', () => {
        hasEnded = true
        isAborted(stream).then((isSo) => (isSo ? sink.fail(clientGone()) : sink.end()))
      })
      .on('close', onClose)
      .resume() // Also one that was paused by hand: the first bytes are wanted before anybody reads.
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  destroy(error: Error | undefined): void {
    this.#reason = error
    this.#stream.destroy(error)
  }

  freeChunk(): void {
    // It is the application's stream, and so may its chunks be.
  }

  #failure(error: Error | null): Error {
    if (error !== null && (error === this.#reason || isS3FileError(error))) return error
    if ((error as NodeJS.ErrnoException | null)?.code === 'ERR_STREAM_NULL_VALUES') return notBytes(null)
    const cause = error === null ? {} : { cause: error }
    const { method } = this.#stream as Partial<IncomingMessage>
    // A request whose body is the file. (An answer of another server's has no method.)
    if (typeof method === 'string') return clientGone(error ?? undefined)
    const how = error === null ? 'was closed' : 'failed'
    return new UploadError('source-failed', `the source ${how} before its end`, cause)
  }
}

/** @throws ConfigurationError `invalid-value` for a chunk that is neither bytes nor text. */
export function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  if (typeof chunk === 'string') return Buffer.from(chunk)
  if (chunk instanceof Uint8Array) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
  throw notBytes(chunk)
}

function notBytes(chunk: unknown): ConfigurationError {
  const what = chunk === null || chunk === undefined ? String(chunk) : Object.prototype.toString.call(chunk)
  return new ConfigurationError(
    'invalid-value',
    `the source gives ${what}; a chunk is a Buffer, a Uint8Array or a text`,
  )
}
