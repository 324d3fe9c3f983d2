import { type Channel, channel } from 'node:diagnostics_channel'
import { isS3FileError, type S3FileErrorCode } from './errors.js'
import type { DeleteFailure } from './file-storage.js'

/** What each event of an upload says. */
export interface UploadEvent {
  /** The same in all events of one upload. */
  id: string
  /** Name of the storage. */
  storage: string
  /** null until it is settled: an upload may fail before. */
  key: string | null
  /** The form field it came in; null for `uploadFromStream`. */
  field: string | null
  /** The file's name. */
  name: string
}

/** A part that the store has confirmed. */
export interface UploadPartEvent extends UploadEvent {
  /** Counted from 1; a file that fits in one part is sent as that. */
  partNumber: number
  bytes: number
  /** Milliseconds from the request to the store to its answer, all tries together. */
  durationMs: number
  /** How often it was sent. */
  attempts: number
}

/** A file that is stored, with the call that it belongs to. */
export interface UploadCompleteEvent extends UploadEvent {
  contentType: string
  /** Bytes. */
  size: number
  /** Milliseconds from the start until the object was stored. */
  durationMs: number
}

/** An upload that did not become a file. */
export interface UploadFailEvent extends UploadEvent {
  /** Of what the verb throws; null for an error that is not of this package. */
  errorCode: S3FileErrorCode | null
  /** Milliseconds from the start until all was cleaned up. */
  durationMs: number
}

/** An object that is deleted, and why. */
export interface DeleteEvent {
  storage: string
  key: string
  /**
   * `unreferred`: no row refers to it (any more); `discarded`: by `discard()`; `upload-failed`: it was stored, but not
   * all of its call was; `orphan`: by `reconcile`.
   */
  reason: 'unreferred' | 'discarded' | 'upload-failed' | 'orphan'
}

/** An object, or a multipart upload, that could not be deleted. */
export interface CleanupFailEvent {
  storage: string
  /** Of the object, or of the multipart upload, that could not be deleted. */
  key: string
  /** null where it is not known, or not of this package. */
  errorCode: S3FileErrorCode | null
}

/** A request to S3 that was sent more than once. */
export interface RetryEvent {
  bucket: string
  /** As S3 names it. */
  operation: string
  key: string | null
  /** How often the request was sent, 2 or more. */
  attempts: number
  /** null when it succeeded in the end. */
  errorCode: S3FileErrorCode | null
}

/** The messages on the channels of `node:diagnostics_channel`, by the channel's name. */
export interface S3FileEvents {
  'typeorm-s3-file:upload:start': UploadEvent
  'typeorm-s3-file:upload:part': UploadPartEvent
  /** The call that the file belongs to has succeeded. */
  'typeorm-s3-file:upload:complete': UploadCompleteEvent
  'typeorm-s3-file:upload:fail': UploadFailEvent
  /** As `fail`, when it was the client, or the caller's signal, that ended it. */
  'typeorm-s3-file:upload:abort': UploadFailEvent
  'typeorm-s3-file:delete': DeleteEvent
  'typeorm-s3-file:cleanup:fail': CleanupFailEvent
  /** A request to S3 that was sent more than once has ended. */
  'typeorm-s3-file:retry': RetryEvent
}

type EventName = keyof S3FileEvents extends `typeorm-s3-file:${infer Name}` ? Name : never

/** A name gives the same channel to every copy of this package. */
export const channels = Object.fromEntries(
  (
    [
      ...(['upload:start', 'upload:part', 'upload:complete', 'upload:fail', 'upload:abort'] as const),
      ...(['delete', 'cleanup:fail', 'retry'] as const),
    ] satisfies EventName[]
  ).map((name) => [name, channel(`typeorm-s3-file:${name}`)]),
) as Record<EventName, Channel>

/** Publishes what `message` gives, which is not asked when nobody has subscribed. */
export function publish<Name extends EventName>(
  name: Name,
  message: () => S3FileEvents[`typeorm-s3-file:${Name}`],
): void {
  if (channels[name].hasSubscribers) channels[name].publish(message())
}

/** Publishes which of these objects are deleted, and which could not be. */
export function publishDeletions(
  { storage, reason }: Pick<DeleteEvent, 'storage' | 'reason'>,
  keys: Iterable<string>,
  failures: readonly DeleteFailure[],
): void {
  if (!channels.delete.hasSubscribers && !channels['cleanup:fail'].hasSubscribers) return
  const errors = new Map(failures.map(({ key, error }) => [key, error]))
  for (const key of new Set(keys)) {
    if (errors.has(key)) publishCleanupFailure(storage, key, errors.get(key))
    else publish('delete', () => ({ storage, key, reason }))
  }
}

export function publishCleanupFailure(storage: string, key: string, error: unknown): void {
  publish('cleanup:fail', () => ({ storage, key, errorCode: codeOf(error) }))
}

export function codeOf(error: unknown): S3FileErrorCode | null {
  return isS3FileError(error) ? error.code : null
}
