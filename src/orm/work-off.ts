import type { FileJournal } from './file-journal.js'
import type { FileJournalEntry } from './file-journal-entry.js'
import { type Claim, claimEntries, postponeEntries } from './journal-claims.js'
import { type Removal, type RemovalOutcome, removeObjects } from './object-remover.js'

interface EntryRemoval extends Removal {
  entry: FileJournalEntry
}

/**
 * Takes entries of the journal, deletes the objects that no row refers to, and strikes the entries.
 *
 * @param isComplete that the uploads among them are known to be complete, so that none has to be aborted.
 * @returns how many entries were found, and what happened to the objects of those that were taken.
 */
export async function workOff(
  journal: FileJournal,
  claim: Claim,
  isComplete = false,
): Promise<{ found: number; outcome: RemovalOutcome<EntryRemoval> }> {
  const { token, entries, found } = await claimEntries(journal, claim)
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
  await postponeEntries(
    journal,
    outcome.failed.map(({ item, error }) => ({ entry: item.entry, error })),
    token,
  )
  return { found, outcome }
}
