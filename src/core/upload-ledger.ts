import { ConfigurationError } from './errors.js'
import type { FileField } from './file-field.js'
import { type ObjectRef, refId } from './object-ref.js'
import type { S3File } from './s3-file.js'
import { sharedState } from './shared-state.js'

/**
 * Where uploads leave word of their object before its first byte is sent, so that a process that is killed leaves
 * no object that nobody knows of. The ORM's file journal is one.
 */
export interface UploadLedger {
  /** Where its entries are: two ledgers of one place are one. Without a place it is like no other. */
  readonly place?: string | undefined
  /**
   * Resolves when the entry is committed. Waits for a limited time; `signal` aborts when the upload ends before.
   *
   * @throws JournalError `journal-failed`; the signal's reason.
   */
  open(object: ObjectRef, signal?: AbortSignal): Promise<LedgerEntry>
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

/** Whether an entry of one ledger is one of the other. */
export function isSameLedger(left: UploadLedger, right: UploadLedger | undefined): boolean {
  return left === right || (left.place !== undefined && left.place === right?.place)
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
 * @throws ConfigurationError `invalid-option` when it could be one of several databases.
 */
export function findLedger(caller: string, field: FileField | undefined): UploadLedger | undefined {
  const [first, ...others] = ledgersOf(field)
  if (first !== undefined && others.some((other) => !isSameLedger(first, other))) {
    throw new ConfigurationError(
      'invalid-option',
      `${caller}: the row of this file could come to several databases with a journal; name one by option ` +
        "'journal': fileJournal(dataSource)",
    )
  }
  return first
}

/** The ledgers, in the order of their registration, that may have the row of a file of that field. */
export function ledgersOf(field: FileField | undefined): UploadLedger[] {
  return [...ledgers].filter(({ knows }) => field === undefined || knows(field)).map(({ ledger }) => ledger)
}

/** A database whose rows may refer to objects: `discard()` asks each one before it deletes. */
export interface RowKeeper {
  /**
   * Takes an object out of the reach of every later save, unless a committed row refers to it.
   *
   * @param isFresh that no statement of this process has given it to a row.
   * @returns null when a row does.
   * @throws JournalError `journal-failed` when the database cannot be asked.
   */
  giveUp(object: ObjectRef, isFresh: boolean): Promise<GivenUp | null>
}

/** An object that no save takes any more. */
export interface GivenUp {
  /** The object is deleted. */
  confirm: () => Promise<void>
  /** The object stays after all. */
  undo: () => Promise<void>
}

const keepers = sharedState('keepers', () => new Set<RowKeeper>())

/** @returns what takes it off the list again. */
export function registerKeeper(keeper: RowKeeper): () => void {
  keepers.add(keeper)
  return () => keepers.delete(keeper)
}

export function rowKeepers(): RowKeeper[] {
  return [...keepers]
}

/** What this process knows of an object that it uploaded, or gave up, until a committed row refers to it. */
export interface UploadState {
  readonly entry: LedgerEntry | undefined
  /** `committing`: COMMIT was sent for a row that refers to it. */
  status: 'fresh' | 'committing' | 'saved' | 'gone'
  /** Whether a statement has tried to give it to a row: from then on its transaction decides. */
  isOffered: boolean
}

/**
 * By object: several files may name one object. A state is kept only as long as one of the files that it was looked up
 * for, so that uploads that are never saved do not fill the memory.
 */
const uploads = sharedState('uploads', () => ({
  byFile: new WeakMap<S3File, UploadState>(),
  byObject: new Map<string, WeakRef<UploadState>>(),
}))

const forgotten = new FinalizationRegistry<string>((id) => {
  if (uploads.byObject.get(id)?.deref() === undefined) uploads.byObject.delete(id)
})

export function trackUpload(file: S3File, entry: LedgerEntry | undefined): void {
  remember(file, { entry, status: 'fresh', isOffered: false })
}

/** What is known of the object of a file; undefined for one that a row refers to, or that comes from elsewhere. */
export function uploadStateOf(file: S3File): UploadState | undefined {
  let state = uploads.byFile.get(file)
  if (state === undefined) {
    state = uploads.byObject.get(refId(file))?.deref()
    if (state !== undefined) uploads.byFile.set(file, state)
  }
  return state?.status === 'saved' ? undefined : state
}

/** Whether no committed row refers to the file yet, as far as is known. */
export function isUpload(file: S3File): boolean {
  return uploadStateOf(file) !== undefined
}

/** The transaction of a row that refers to the file is about to commit. */
export function markCommitting(file: S3File): void {
  const state = uploadStateOf(file)
  if (state?.status === 'fresh') state.status = 'committing'
}

/** The transaction of a row that was offered the file is rolled back, and may be tried again. */
export function markFresh(file: S3File): void {
  const state = uploadStateOf(file)
  if (state?.status !== 'committing' && state?.status !== 'fresh') return
  state.status = 'fresh'
  state.isOffered = false
}

/** A committed row refers to the file: from now on it is like any other. */
export function settleUpload(file: S3File): void {
  const state = uploadStateOf(file)
  if (state === undefined) return
  state.status = 'saved'
  uploads.byFile.delete(file)
  uploads.byObject.delete(refId(file))
}

/** Remembers that the object of a file is deleted, or about to be, so that no row comes to refer to it. */
export function markGone(file: S3File): UploadState {
  const state = uploadStateOf(file) ?? remember(file, { entry: undefined, status: 'gone', isOffered: false })
  state.status = 'gone'
  return state
}

function remember(file: S3File, state: UploadState): UploadState {
  const id = refId(file)
  uploads.byFile.set(file, state)
  uploads.byObject.set(id, new WeakRef(state))
  forgotten.register(state, id)
  return state
}

/** Whether rows tell of what they are offered depends on an `S3FileSubscriber` being there. */
const offers = sharedState('offers', () => ({ areWatched: false }))

export function watchOffers(): void {
  offers.areWatched = true
}

/** A statement is about to give the upload to a row, or has given it to none. */
export function markOffered(file: S3File, isOffered = true): void {
  const state = uploadStateOf(file)
  if (state !== undefined) state.isOffered = isOffered
}

/** Whether it is certain that no row of this process's doing refers to the upload, or may come to. */
export function isUnclaimed(file: S3File): boolean {
  const state = uploadStateOf(file)
  return offers.areWatched && state?.status === 'fresh' && !state.isOffered
}
