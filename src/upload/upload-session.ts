import { AsyncResource } from 'node:async_hooks'
import { setMaxListeners } from 'node:events'
import type { Readable } from 'node:stream'
import { isS3FileError, StorageError, UploadError } from '../core/errors.js'
import { publishDeletions } from '../core/events.js'
import { displayName, extensionOf } from '../core/file-name.js'
import { assertAccepted, assertNotTooLarge, type FilePolicy } from '../core/file-policy.js'
import type { ObjectParams } from '../core/file-storage.js'
import { type KeyContext, type MadeKey, makeKey } from '../core/key-strategy.js'
import { S3File } from '../core/s3-file.js'
import { unlessAborted } from '../core/unless-aborted.js'
import { type LedgerEntry, markGone, trackUpload } from '../core/upload-ledger.js'
import type { ByteSource } from './byte-source.js'
import { FileInspection } from './file-inspection.js'
import { isSurelyGone, leftBehind } from './left-behind.js'
import { claimedMediaType, settledMediaType, sniffedBytes, sniffMediaType } from './media-type.js'
import { UploadGate } from './upload-gate.js'
import type { UploadTarget } from './upload-target.js'
import { UploadTrace } from './upload-trace.js'

/** How far an upload is. */
export interface UploadProgress {
  /** Bytes that have come: of the whole body for a request, of the file for a stream. */
  receivedBytes: number
  /** Bytes that the store has confirmed. */
  storedBytes: number
  /** What `receivedBytes` will reach, where it is known. */
  totalBytes: number | undefined
}

export interface SessionOptions {
  /** What a key function is told of. */
  request: unknown
  totalBytes: number | undefined
  signal: AbortSignal | undefined
  onProgress: ((progress: UploadProgress) => void) | undefined
  /** Calls back when nobody waits for the result any more; gives what ends the watch. */
  watchConnection?: (onGone: (error: UploadError) => void) => () => void
}

/** A file on its way in. */
export interface SourceFile {
  filename: string | undefined
  contentType: string | undefined
  field: string | undefined
  bytes: ByteSource
  /** The length the file must have, where one was given. */
  announcedBytes: number | undefined
  /** The most bytes it can have. */
  atMostBytes: number | undefined
  /** Called with the bytes that have come so far. */
  onBytes?: (bytes: number) => void
}

/** An error that is on its way waits no longer for a database to take an entry back. */
const mostMsToClose = 5_000

/** The files of one call: they are all stored, or none stays. */
export class UploadSession {
  readonly #options: SessionOptions
  readonly #stop = new AbortController()
  readonly #files: { file: S3File; target: UploadTarget }[] = []
  readonly #traces: UploadTrace[] = []
  /** The events of a request's body come in nobody's context: a key function, or a span, would look for its own in vain. */
  readonly #callersContext = new AsyncResource('S3FileUpload')
  /** Files that wait for a database. */
  #waiting = 0
  #unwatch: (() => void) | undefined
  #storedBytes = 0
  #receivedBytes = 0

  constructor(options: SessionOptions) {
    setMaxListeners(0, this.#stop.signal) // Each file of a form listens.
    this.#options = options
  }

  /**
   * Runs `work` under the caller's signal. When it fails, what it has stored is deleted again.
   *
   * @throws what `work` threw; UploadError `upload-aborted`, with the signal's reason as `cause`.
   */
  async run<Result>(
    work: (fail: (error: unknown) => void, stop: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const { signal } = this.#options
    const onAbort = () =>
      this.#stop.abort(new UploadError('upload-aborted', 'the upload was aborted', { cause: signal?.reason }))
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const result = await work((error) => this.#stop.abort(error), this.#stop.signal)
      for (const trace of this.#traces) trace.complete()
      return result
    } catch (error) {
      this.#stop.abort(error)
      await this.#discardAll(error)
      for (const trace of this.#traces) trace.fail(error)
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  received(bytes: number): void {
    this.#receivedBytes = bytes
    this.#report()
  }

  /**
   * Stores one file under the target's rules.
   *
   * @throws UploadError, StorageError; ConfigurationError `invalid-key` from a key function's result.
   */
  store(source: SourceFile, target: UploadTarget): Promise<S3File> {
    const name = displayName(source.filename)
    const trace = new UploadTrace({ storage: target.storageName, field: source.field ?? null, name })
    this.#traces.push(trace)
    return this.#callersContext.runInAsyncScope(() =>
      trace.start(() => this.#store(source, target, name, trace)),
    )
  }

  async #store(source: SourceFile, target: UploadTarget, name: string, trace: UploadTrace): Promise<S3File> {
    const { storage, storageName, ledger, policies, inspectors } = target
    const { field, announcedBytes, onBytes } = source
    const { signal } = this.#stop
    const gate = new UploadGate(source.bytes, { name, field }, { policies, announcedBytes, onBytes })
    gate.on('error', () => undefined) // The storage sees it too, also when it only starts to listen later.
    let body: Readable = gate
    let inspection: FileInspection | undefined
    // An upload that is given up does not wait for a database that may never answer.
    let opening: Promise<LedgerEntry> | undefined
    let entry: LedgerEntry | undefined
    let result: S3File | undefined
    try {
      for (const policy of policies) assertNotTooLarge(policy, { name, field }, announcedBytes ?? 0)
      const extension = extensionOf(name)
      const declaredType = claimedMediaType(source.contentType)
      const sniffed = sniffMediaType(await gate.head(sniffedBytes))
      const contentType = settledMediaType(sniffed, extension, declaredType)
      const file = { name, field, declaredType, sniffedType: sniffed.type, contentType }
      for (const policy of policies) assertAccepted(policy, file)
      if (inspectors.length > 0) {
        inspection = await unlessAborted(signal, FileInspection.start(inspectors, file, signal))
        body = inspection.pass(gate).on('error', () => undefined)
      }
      const context = { name, field, contentType, extension, request: this.#options.request }
      const { key, isUnique, params } = await unlessAborted(signal, placeOf(target, context))
      trace.key = key
      const atMostBytes = mostBytes(source, policies)
      opening = ledger?.open({ storage: storageName, key }, signal)
      if (opening !== undefined) entry = await this.#whileConnected(opening)
      signal.throwIfAborted()
      let countedBytes = 0
      const stored = await storage.put(key, body, {
        contentType,
        params,
        isKeyUnique: isUnique,
        signal,
        isSourceHeld: () => gate.isSourceHeld,
        onUploadId: async (uploadId) => entry?.nameUpload(uploadId),
        onStored: (bytes, part) => {
          entry?.keepAlive()
          if (part !== undefined) trace.part(part)
          this.#storedBytes += bytes - countedBytes
          countedBytes = bytes
          this.#report()
        },
        ...(atMostBytes === undefined ? {} : { atMostBytes }),
      })
      result = new S3File({
        key,
        name,
        contentType,
        ...stored,
        ...(inspection?.checksum === undefined ? {} : { checksum: inspection.checksum }),
        uploadedAt: new Date(),
        storage: storageName,
      })
      trackUpload(result, entry)
      trace.stored(contentType, stored.size)
      this.#files.push({ file: result, target }) // From here on a failure deletes it.
      if (!body.readableEnded) {
        throw new StorageError('storage-failed', 'the storage has stored only a part of the file')
      }
      signal.throwIfAborted() // It was too late to cancel the last request.
      return result
    } catch (error) {
      gate.destroy(error as Error)
      body.destroy(error as Error)
      inspection?.abort()
      if (leftBehind(error).some((what) => what.includes(`'${trace.key}'`))) trace.leftBehind()
      if (entry === undefined) opening?.then(close, () => undefined)
      else if (result === undefined && isSurelyGone(error)) await close(entry)
      throw error
    }
  }

  /** A small body has come whole, and its client may leave, while a database is waited for. */
  async #whileConnected<Result>(work: Promise<Result>): Promise<Result> {
    // Once for all files of a form: each of them may wait.
    if (this.#waiting++ === 0) {
      this.#unwatch = this.#options.watchConnection?.((error) => this.#stop.abort(error))
    }
    try {
      return await unlessAborted(this.#stop.signal, work)
    } finally {
      if (--this.#waiting === 0) this.#unwatch?.()
    }
  }

  #report(): void {
    const { onProgress, totalBytes } = this.#options
    if (onProgress === undefined) return
    try {
      const [receivedBytes, storedBytes] = [this.#receivedBytes, this.#storedBytes]
      const result: unknown = onProgress({ receivedBytes, storedBytes, totalBytes })
      if (result instanceof Promise) result.catch((error: unknown) => this.#stop.abort(error))
    } catch (error) {
      this.#stop.abort(error)
    }
  }

  /** Deletes what was stored, and puts what could not be deleted into the error's `context.leftBehind`. */
  async #discardAll(error: unknown): Promise<void> {
    const filesByTarget = new Map<UploadTarget, S3File[]>()
    for (const { file, target } of this.#files) {
      filesByTarget.set(target, [...(filesByTarget.get(target) ?? []), file])
    }
    await Promise.all([...filesByTarget].map(([target, files]) => discard(target, files, error)))
  }
}

async function discard(target: UploadTarget, files: S3File[], error: unknown): Promise<void> {
  const keys = files.map(({ key }) => key)
  const uploads = files.map((file) => ({ key: file.key, ...markGone(file) }))
  const failures = await target.storage
    .deleteMany(keys)
    .catch((failure: unknown) => keys.map((key) => ({ key, error: failure })))
  if (failures.length > 0 && isS3FileError(error)) {
    error.context.leftBehind = [...leftBehind(error), ...failures.map(({ key }) => `object '${key}'`)]
  }
  publishDeletions({ storage: target.storageName, reason: 'upload-failed' }, keys, failures)
  const failedKeys = new Set(failures.map(({ key }) => key))
  await Promise.all(uploads.map(({ key, entry }) => (failedKeys.has(key) ? undefined : close(entry))))
}

/** Where the object goes and what is kept with it; the application's own functions may say so. */
async function placeOf(
  { key: strategy, keyPrefix, maxKeyLength, paramsOf }: UploadTarget,
  file: KeyContext,
): Promise<MadeKey & { params: ObjectParams }> {
  const made = await makeKey(strategy, keyPrefix, file, { maxLength: maxKeyLength })
  return {
    ...made,
    params: await paramsOf({ key: made.key, name: file.name, contentType: file.contentType }),
  }
}

/** The least of all that bounds the file's length: a storage plans its parts by it. */
function mostBytes(
  { announcedBytes, atMostBytes }: SourceFile,
  policies: readonly FilePolicy[],
): number | undefined {
  const bounds = [announcedBytes, atMostBytes, ...policies.map((policy) => policy.maxSizeBytes)]
  const known = bounds.filter((bound) => bound !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

async function close(entry: LedgerEntry | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const longEnough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, mostMsToClose)
  })
  try {
    await Promise.race([entry?.close(), longEnough])
  } catch {
    // The error that is on its way matters more: an entry without an object costs the janitor a look, nothing else.
  } finally {
    clearTimeout(timer)
  }
}
