import type { Readable } from 'node:stream'
import { ConfigurationError, UploadError } from '../core/errors.js'

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
  /** What it has failed with. */
  readonly errored: Error | null
  /** Begins to send, as fast as it can. */
  sendTo(sink: ByteSink): void
  pause(): void
  resume(): void
  /** Nothing more is wanted. */
  destroy(error: Error | undefined): void
  /** The sink, and whoever it passed a chunk to, needs it no more. */
  freeChunk(chunk: Buffer): void
}

/** A stream of bytes, or of objects that are views of bytes or text. */
export class ReadableSource implements ByteSource {
  readonly #stream: Readable

  constructor(stream: Readable) {
    this.#stream = stream
  }

  get errored(): Error | null {
    return this.#stream.errored
  }

  sendTo(sink: ByteSink): void {
    const stream = this.#stream
    let hasEnded = false
    const onClose = () => {
      if (hasEnded) return
      sink.fail(stream.errored ?? new UploadError('truncated-body', 'the source was closed before its end'))
    }
    stream.on('error', (error) => sink.fail(error))
    if (stream.destroyed) {
      onClose()
      return
    }
    stream
      .on('data', (chunk: unknown) => {
        const bytes = bufferOf(chunk)
        if (bytes !== undefined) sink.write(bytes)
        else sink.fail(new ConfigurationError('invalid-value', 'the source gives something else than bytes'))
      })
      .on('end', () => {
        hasEnded = true
        sink.end()
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
    this.#stream.destroy(error)
  }

  freeChunk(): void {
    // It is the application's stream, and so may its chunks be.
  }
}

function bufferOf(chunk: unknown): Buffer | undefined {
  if (Buffer.isBuffer(chunk)) return chunk
  if (typeof chunk === 'string') return Buffer.from(chunk)
  return chunk instanceof Uint8Array ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : undefined
}
