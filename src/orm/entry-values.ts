import { randomUUID } from 'node:crypto'
import type { ObjectRef } from '../core/object-ref.js'
import type { FileJournalEntry } from './file-journal-entry.js'

/** Marks a journal's entity; the same symbol in every copy of the package. */
export const journalBrand = Symbol.for('typeorm-s3-file.journal')

/** The name of the index that the entries of an object are found by. */
export const keyIndex = 'file_journal_key'

/** A new entry, which is due at once unless it is said to be so later. */
export function newEntry(
  reason: FileJournalEntry['reason'],
  { storage, key }: ObjectRef,
  { now = Date.now(), dueInSeconds = 0 }: { now?: number; dueInSeconds?: number } = {},
): FileJournalEntry {
  return {
    id: randomUUID(),
    reason,
    storage,
    key,
    uploadId: null,
    since: iso(now),
    dueAt: iso(now + dueInSeconds * 1000),
    claimedUntil: null,
    claimedBy: null,
    attempts: 0,
    lastError: null,
    ticket: null,
    owner: null,
    declaredBytes: null,
    state: null,
  }
}

/** A time as entries have it: it sorts, and no driver moves it to another time zone. */
export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
