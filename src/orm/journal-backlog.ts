import { type EntityManager, In, LessThanOrEqual, MoreThan } from 'typeorm'
import { FileJournal } from './file-journal.js'
import type { FileJournalEntry } from './file-journal-entry.js'
import { dataSourceOf } from './typeorm-versions.js'

/** What waits in the file journal. */
export interface JournalBacklog {
  entries: number
  /** Entries that a `FileJanitor` would take now. */
  due: number
  /** Entries that a janitor has failed on; each has its last error. */
  failing: number
  /** When the oldest of all entries was written. */
  oldest: Date | null
}

/** @returns null for a DataSource without `FileJournalEntry`. */
export async function readBacklog(manager: EntityManager, now = Date.now()): Promise<JournalBacklog | null> {
  const journal = FileJournal.of(dataSourceOf(manager))
  if (journal === undefined) return null
  const { entity } = journal
  const [oldest] = await manager.find(entity, { order: { since: 'ASC' }, take: 1 })
  return {
    entries: await manager.count(entity),
    due: await manager.countBy(entity, { dueAt: LessThanOrEqual(new Date(now).toISOString()) }),
    failing: await manager.countBy(entity, { attempts: MoreThan(0) }),
    oldest: oldest === undefined ? null : new Date(oldest.since),
  }
}

/** The keys among these that an entry of the journal names, in whatever storage. */
export async function findJournaledKeys(
  manager: EntityManager,
  keys: readonly string[],
  reason?: FileJournalEntry['reason'],
): Promise<Set<string>> {
  const journal = FileJournal.of(dataSourceOf(manager))
  if (journal === undefined) return new Set()
  const entries = await manager.find(journal.entity, {
    select: { id: true, key: true },
    where: { key: In([...keys]), ...(reason === undefined ? {} : { reason }) },
  })
  return new Set(entries.map(({ key }) => key))
}
