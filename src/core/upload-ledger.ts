import { ConfigurationError } from './errors.js'
import type { FileField } from './file-field.js'
import type { ObjectRef } from './object-ref.js'
import type { S3File } from './s3-file.js'
import { sharedState } from './shared-state.js'

/**
 * Where uploads leave word of their object before its first byte is sent, so that a process that is killed leaves
 * no object that nobody knows of. The ORM's file journal is one.
 */
export interface UploadLedger {
  /** Resolves when the entry is committed. */
  open(object: ObjectRef): Promise<LedgerEntry>
}

/** What a ledger has of one upload. */
export interface LedgerEntry {
  readonly ledger: UploadLedger
  readonly id: string
  /** Adds the id of the multipart upload, once there is one. */
  nameUpload(uploadId: string): Promise<void>
  /** Says that the upload goes on; costs nothing most of the time. */
  keepAlive(): void
  /** Takes the entry back: there is no such object any more. */
  close(): Promise<void>
}

interface RegisteredLedger {
  ledger: UploadLedger
  /** Whether files of this field are saved in the ledger's database. */
  knows: (field: FileField) => boolean
}

const ledgers = sharedState('ledgers', () => new Set<RegisteredLedger>())

/** @returns what takes it off the list again. */
export function registerLedger(registered: RegisteredLedger): () => void {
  ledgers.add(registered)
  return () => ledgers.delete(registered)
}

/**
 * The ledger for uploads into that field, or for uploads of no field: undefined where there is none.
 *
 * @throws ConfigurationError `invalid-option` when it could be more than one.
 */
export function findLedger(caller: string, field: FileField | undefined): UploadLedger | undefined {
  const known = [...ledgers].filter(({ knows }) => field === undefined || knows(field))
  if (known.length > 1) {
    throw new ConfigurationError(
      'invalid-option',
      `${caller}: the row of this file could come to ${known.length} databases with a journal; say to which one by ` +
        "option 'journal': fileJournal(dataSource)",
    )
  }
  return known[0]?.ledger
}

/** An upload of this process that no committed row refers to, as far as is known. */
export interface FreshUpload {
  readonly entry: LedgerEntry | undefined
  /** Whether its object was deleted, or is about to be. */
  isGone: boolean
}

const freshUploads = sharedState('fresh', () => new WeakMap<S3File, FreshUpload>())

export function trackUpload(file: S3File, entry: LedgerEntry | undefined): void {
  freshUploads.set(file, { entry, isGone: false })
}

export function freshUploadOf(file: S3File): FreshUpload | undefined {
  return freshUploads.get(file)
}

/** Whether no committed row refers to the file yet, as far as is known. */
export function isUpload(file: S3File): boolean {
  return freshUploads.has(file)
}

/** A committed row refers to the file: from now on it is like any other. */
export function settleUpload(file: S3File): void {
  freshUploads.delete(file)
}

/** Remembers that the object of a file is deleted, so that no row comes to refer to it. */
export function markGone(file: S3File): FreshUpload {
  const upload = freshUploads.get(file) ?? { entry: undefined, isGone: true }
  upload.isGone = true
  freshUploads.set(file, upload)
  return upload
}

/** What rows were offered. Whether they tell of it depends on an `S3FileSubscriber` being there. */
const offers = sharedState('offers', () => ({ areWatched: false, files: new WeakSet<S3File>() }))

export function watchOffers(): void {
  offers.areWatched = true
}

/** A statement is about to give the file to a row. From then on its transaction decides what becomes of it. */
export function markOffered(file: S3File): void {
  offers.files.add(file)
}

/** Whether it is certain that no row of this process's doing refers to the upload, or may come to. */
export function isUnclaimed(file: S3File): boolean {
  return offers.areWatched && freshUploads.get(file)?.isGone === false && !offers.files.has(file)
}
