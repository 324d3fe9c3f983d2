import { Readable } from 'node:stream'
import { type ReadableStream, TransformStream } from 'node:stream/web'
import { ConfigurationError, UploadError } from '../core/errors.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'
import type { S3File } from '../core/s3-file.js'
import { bytesOf, ReadableSource } from './byte-source.js'
import { type UploadProgress, UploadSession } from './upload-session.js'
import { resolveTarget, type TargetOptions, targetChecks } from './upload-target.js'

/** What `uploadFromStream` takes: a stream of Node or of the web, a list or generator of chunks, bytes, or a Blob. */
export type StreamSource =
  | Readable
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | Uint8Array
  | Blob

/** What `uploadFromStream` takes. */
export interface UploadStreamOptions<Entity = unknown> extends TargetOptions<Entity> {
  /** The file's name. @default a File's own, otherwise 'file' */
  name?: string
  /** The file's type: a claim, as the bytes decide. @default a Blob's own */
  contentType?: string
  /** The exact length in bytes; a source that has more or fewer is refused. @default that of bytes or a Blob */
  sizeBytes?: number
  /** Ends the upload when aborted. */
  signal?: AbortSignal
  /** Called as bytes come and are stored. */
  onProgress?: (progress: UploadProgress) => void
}

const checks: Record<keyof UploadStreamOptions, OptionCheck> = {
  ...targetChecks,
  name: option.string,
  contentType: option.string,
  sizeBytes: option.integer(0),
  signal: option.abortSignal,
  onProgress: option.function,
}

/**
 * Streams any source of bytes into a storage, for jobs and imports, and resolves with the value to assign to the
 * entity. When it rejects, nothing of the upload is left in the storage.
 *
 * @throws UploadError `source-failed` with the source's error as `cause`, `client-gone` for a request whose body is the
 *   file, `size-mismatch`, and those of `uploadFromRequest`; ConfigurationError `invalid-value` for chunks that are no bytes.
 */
export async function uploadFromStream<Entity = unknown>(
  source: StreamSource,
  options: UploadStreamOptions<Entity> = {},
): Promise<S3File> {
  checkOptions('uploadFromStream', options, checks)
  const { name, contentType, sizeBytes, signal, onProgress, ...targetOptions } = options
  const target = resolveTarget('uploadFromStream', targetOptions)
  const announcedBytes = sizeBytes ?? lengthOf(source)
  const session = new UploadSession({
    request: undefined,
    totalBytes: announcedBytes,
    signal,
    onProgress,
  })
  const stream = readableOf(source)
  stream.on('error', () => undefined) // It reaches the caller by the promise, also when nothing reads yet.
  const bytes = new ReadableSource(stream)
  try {
    return await session.run((_fail, stop) => {
      const onStop = () => bytes.destroy(stop.reason)
      stop.addEventListener('abort', onStop, { once: true })
      if (stop.aborted) onStop()
      return session.store(
        {
          bytes,
          filename: name ?? nameOf(source),
          contentType: contentType ?? (source instanceof Blob ? source.type : undefined),
          field: undefined,
          announcedBytes,
          atMostBytes: undefined,
          onBytes: (received) => session.received(received),
        },
        target,
      )
    })
  } finally {
    stream.destroy()
  }
}

/** A File has a name; other sources may have a property of that name that means something else. */
function nameOf(source: StreamSource): string | undefined {
  const { name } = source as { name?: unknown }
  return source instanceof Blob && typeof name === 'string' ? name : undefined
}

function lengthOf(source: StreamSource): number | undefined {
  if (source instanceof Uint8Array) return source.length
  return source instanceof Blob ? source.size : undefined
}

function readableOf(source: StreamSource): Readable {
  if (source instanceof Readable) {
    if (source.readableEnded)
      throw new UploadError('body-consumed', 'the source has already been read to its end')
    if (source.readableEncoding !== null) {
      throw new ConfigurationError(
        'invalid-value',
        'the source has an encoding set; a file is bytes, not text',
      )
    }
    return source
  }
  if (source instanceof Uint8Array)
    return Readable.from(source.length === 0 ? [] : [source], { objectMode: false })
  if (source instanceof Blob) return Readable.fromWeb(source.stream() as ReadableStream)
  if (typeof (source as ReadableStream)?.getReader === 'function') {
    const stream = source as ReadableStream
    if (stream.locked) throw new UploadError('body-consumed', 'the source is being read by somebody else')
    // A null among the chunks would end a stream of Node as if it were whole.
    return Readable.fromWeb(
      stream.pipeThrough(
        new TransformStream<unknown, Buffer>({
          transform: (chunk, controller) => controller.enqueue(bytesOf(chunk)),
        }),
      ),
    )
  }
  if (
    typeof source === 'object' &&
    source !== null &&
    (Symbol.asyncIterator in source || Symbol.iterator in source)
  ) {
    return Readable.from(source as AsyncIterable<Uint8Array>)
  }
  if (typeof source === 'string') {
    throw new ConfigurationError(
      'invalid-value',
      'uploadFromStream takes no text: give it Buffer.from(text), or a stream of the file that the text names',
    )
  }
  throw new ConfigurationError('invalid-value', 'uploadFromStream takes a stream, chunks, bytes or a Blob')
}
