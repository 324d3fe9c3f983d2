import { randomUUID } from 'node:crypto'
import type { ObjectRef } from '../core/object-ref.js'
import type { FileJournalEntry } from './file-journal-entry.js'

/** How entities of this kind are told, whichever copy of the package made the class. */
export const journalBrand = Symbol.for('typeorm-s3-file.journal')

/** An entry that is due at once. */
export function newEntry(
  reason: FileJournalEntry['reason'],
  { storage, key }: ObjectRef,
  now = Date.now(),
): FileJournalEntry {
  return {
    id: randomUUID(),
    reason,
    storage,
    key,
    uploadId: null,
    since: iso(now),
    dueAt: iso(now),
    claimedUntil: null,
    claimedBy: null,
    attempts: 0,
    lastError: null,
  }
}

/** A time as entries have it: it sorts, and no driver moves it to another time zone. */
export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
