import type { Claim, FileJournal } from './file-journal.js'
import type { FileJournalEntry } from './file-journal-entry.js'
import { type Removal, type RemovalOutcome, removeObjects } from './object-remover.js'

interface EntryRemoval extends Removal {
  entry: FileJournalEntry
}

/**
 * Takes entries of the journal, deletes the objects that no row refers to, and strikes the entries.
 *
 * @param isComplete that the uploads among them are known to be complete, so that none has to be aborted.
 * @returns how many entries were taken, and what became of their objects.
 */
export async function workOff(
  journal: FileJournal,
  claim: Claim,
  isComplete = false,
): Promise<{ entries: number; outcome: RemovalOutcome<EntryRemoval> }> {
  const { token, entries } = await journal.claim(claim)
  const removals = entries.map((entry) => ({
    storage: entry.storage,
    key: entry.key,
    uploadId: entry.reason === 'upload' && !isComplete ? entry.uploadId : undefined,
    entry,
  }))
  const outcome = await removeObjects(journal.dataSource, removals)
  await journal.remove(
    [...outcome.deleted, ...outcome.kept].map(({ entry }) => entry.id),
    token,
  )
  await journal.postpone(
    outcome.failed.map(({ item, error }) => ({ entry: item.entry, error })),
    token,
  )
  return { entries: entries.length, outcome }
}
