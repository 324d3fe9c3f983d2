import type { JournalBacklog } from './journal-backlog.js'

/** How far `reconcile()` is. */
export interface ReconcileProgress {
  /** The name of the storage that is being looked at. */
  storage: string
  objects: number
  /** Different objects that rows refer to. */
  files: number
}

/** An object that no row refers to and no journal entry names. */
export interface OrphanFinding {
  type: 'orphan'
  storage: string
  key: string
  /** Bytes. */
  size: number
  lastModified: Date | null
  isDeleted: boolean
  /** Why it could not be deleted. */
  error?: unknown
}

/** An object that rows refer to and that is not there. */
export interface DanglingFinding {
  type: 'dangling'
  storage: string
  key: string
  /** The rows; of each column ten at most. */
  rows: { entity: string; property: string; id: Record<string, unknown> }[]
}

/** A multipart upload that was neither completed nor aborted, and that no journal entry names. */
export interface StaleUploadFinding {
  type: 'stale-upload'
  storage: string
  key: string
  uploadId: string
  startedAt: Date | null
  isAborted: boolean
  /** Why it could not be aborted. */
  error?: unknown
}

/** What does not fit together. */
export type ReconcileFinding = OrphanFinding | DanglingFinding | StaleUploadFinding

/** Comes last. */
export interface ReconcileSummary {
  type: 'summary'
  objects: number
  /** Different objects that rows refer to. */
  files: number
  orphans: number
  /** Bytes of the orphans. */
  orphanBytes: number
  /** Orphans that are deleted now. */
  deleted: number
  dangling: number
  staleUploads: number
  /** Stale uploads that are aborted now. */
  aborted: number
  /** Null without `FileJournalEntry`. */
  journal: JournalBacklog | null
}
