import { randomUUID } from 'node:crypto'
import { type DataSource, type EntityManager, In, IsNull, LessThanOrEqual } from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { iso } from './entry-values.js'
import type { FileJournal } from './file-journal.js'
import type { FileJournalEntry } from './file-journal-entry.js'
import { dialectOf } from './file-sql.js'
import { lifecycleOf } from './lifecycle-options.js'
import { untilCommitted } from './until-committed.js'

/** How long a janitor may take for a batch before another one may take it over. */
const leaseSeconds = 15 * 60

/** The longest pause between two tries: a day. */
const maxBackoffSeconds = 86_400

/** Which entries a janitor takes: those that are due, those of uploads that it was told of, or those of objects. */
export type Claim =
  | { limit: number; deleteAfterSeconds: number }
  | { ids: readonly string[] }
  | { released: readonly ObjectRef[] }

/** Entries that nobody else works on until the lease is over. */
export interface Claimed {
  token: string
  entries: FileJournalEntry[]
}

/**
 * Takes entries for a while, so that no other janitor works on them. From then on their objects are given up: no row
 * comes to refer to them. `dueAt` says when an entry may be taken, and moves to the end of the lease.
 *
 * @returns those that were taken, and how many were looked at: entries whose object has to stay longer are put off.
 */
export async function claimEntries(
  journal: FileJournal,
  claim: Claim,
  now = Date.now(),
): Promise<Claimed & { found: number }> {
  return takeEntries(journal, claim, { now, isDurable: true })
}

/**
 * Claims all entries of an object, for `discard()`.
 *
 * @returns null when another transaction has one of them: a row is about to refer to the object.
 */
export async function claimObject(
  journal: FileJournal,
  object: ObjectRef,
  stop: AbortSignal,
): Promise<Claimed | null> {
  const look = (manager: EntityManager) =>
    manager.find(journal.entity, { where: { key: object.key, claimedUntil: IsNull() } })
  const found = await journal.run('look for an entry', look, stop)
  const ids = found.filter((entry) => refId(entry) === refId(object)).map(({ id }) => id)
  if (ids.length === 0) return { token: '', entries: [] }
  const claimed = await takeEntries(journal, { ids }, { isDurable: false })
  if (claimed.entries.length === ids.length) return claimed
  await giveBack(journal, claimed)
  return null
}

/** Undoes a claim: the objects are not given up after all. */
export async function giveBack(journal: FileJournal, { token, entries }: Claimed): Promise<void> {
  if (entries.length === 0) return
  const { keepUnsavedSeconds } = lifecycleOf(journal.dataSource)
  const dueAt = iso(Date.now() + keepUnsavedSeconds * 1000)
  await journal.run('give back entries', (manager) =>
    journal.statements.update(
      manager,
      { id: In(entries.map(({ id }) => id)), claimedBy: token },
      { claimedUntil: null, claimedBy: null, dueAt },
    ),
  )
}

/** Gives entries back after a failure, to be tried again later. Their objects stay given up. */
export async function postponeEntries(
  journal: FileJournal,
  failures: readonly { entry: FileJournalEntry; error: unknown }[],
  token: string,
  now = Date.now(),
): Promise<void> {
  if (failures.length === 0) return
  await journal.run('postpone entries', (manager, runner) =>
    journal.transact(runner, async () => {
      for (const { entry, error } of failures) {
        const attempts = entry.attempts + 1
        await journal.statements.update(
          manager,
          { id: entry.id, claimedBy: token },
          {
            attempts,
            lastError: String(error).slice(0, 1000),
            dueAt: iso(now + backoffSeconds(attempts) * 1000),
            claimedUntil: iso(now),
            claimedBy: null,
          },
        )
      }
    }),
  )
}

/**
 * @param isDurable that a transaction which is open on the same connection cannot take the claim back: waits for its end.
 *   Whoever may be within that transaction cannot.
 */
async function takeEntries(
  journal: FileJournal,
  claim: Claim,
  { now = Date.now(), isDurable }: { now?: number; isDurable: boolean },
): Promise<Claimed & { found: number }> {
  const token = randomUUID()
  return journal.run('claim entries', async (manager, runner) => {
    if (isDurable) await untilCommitted(runner)
    const { ids, found } = await journal.transact(runner, () => take(journal, manager, { claim, token, now }))
    if (ids.length === 0) return { token, entries: [], found }
    if (isDurable) await untilCommitted(runner)
    const own = { id: In(ids), claimedBy: token }
    return { token, entries: await manager.find(journal.entity, { where: own }), found }
  })
}

async function take(
  journal: FileJournal,
  manager: EntityManager,
  { claim, token, now }: { claim: Claim; token: string; now: number },
): Promise<{ ids: string[]; found: number }> {
  const query = manager
    .createQueryBuilder(journal.entity, 'entry')
    .select(['entry.id', 'entry.reason', 'entry.since'])
    .callListeners(false)
  const due = { dueAt: LessThanOrEqual(iso(now)) }
  const unclaimed = { claimedUntil: IsNull() }
  // A process of an older version moves no `dueAt` when it takes an entry.
  const free = [
    { ...due, ...unclaimed },
    { ...due, claimedUntil: LessThanOrEqual(iso(now)) },
  ]
  if ('ids' in claim) query.where({ id: In(claim.ids), ...unclaimed })
  else if ('released' in claim) {
    query.where({ reason: 'release', key: In(claim.released.map(({ key }) => key)), ...due, ...unclaimed })
  } else query.where(free).orderBy('entry.dueAt').limit(claim.limit)
  if (knowsSkipLocked(journal.dataSource)) query.setLock('pessimistic_write').setOnLocked('skip_locked')
  const found = await query.getMany()
  const ready = 'limit' in claim ? await putOff(journal, manager, { found, claim, now }) : found
  const ids = ready.map(({ id }) => id)
  if (ids.length === 0) return { ids, found: found.length }
  const own = { id: In(ids) }
  await journal.statements.update(
    manager,
    'limit' in claim ? free.map((condition) => ({ ...own, ...condition })) : { ...own, ...unclaimed },
    {
      claimedBy: token,
      claimedUntil: iso(now + leaseSeconds * 1000),
      dueAt: iso(now + leaseSeconds * 1000),
    },
  )
  return { ids, found: found.length }
}

/**
 * A trigger writes entries that are due at once, and the time that released objects are kept for may have grown since an
 * entry was written: such entries become due when it is over.
 *
 * @returns the others.
 */
async function putOff(
  journal: FileJournal,
  manager: EntityManager,
  { found, claim, now }: { found: FileJournalEntry[]; claim: { deleteAfterSeconds: number }; now: number },
): Promise<FileJournalEntry[]> {
  const keptUntil = ({ reason, since }: FileJournalEntry) =>
    reason === 'release' ? Date.parse(since) + claim.deleteAfterSeconds * 1000 : 0
  const early = found.filter((entry) => keptUntil(entry) > now)
  for (const until of new Set(early.map(keptUntil))) {
    const ids = early.filter((entry) => keptUntil(entry) === until).map(({ id }) => id)
    await journal.statements.update(manager, { id: In(ids), claimedUntil: IsNull() }, { dueAt: iso(until) })
  }
  return found.filter((entry) => keptUntil(entry) <= now)
}

/** Half a minute, twice as long each time. */
function backoffSeconds(attempts: number): number {
  return Math.min(30 * 2 ** (attempts - 1), maxBackoffSeconds)
}

function knowsSkipLocked(dataSource: DataSource): boolean {
  const { driver, options } = dataSource
  switch (dialectOf(dataSource)) {
    case 'postgres':
      return true
    case 'mysql': {
      const [major = 0, minor = 0] = (driver.version ?? '').split('.').map(Number)
      const since: [number, number] = options.type === 'mariadb' ? [10, 6] : [8, 0]
      return major > since[0] || (major === since[0] && minor >= since[1])
    }
    case 'sqlite':
      return false
  }
}
