import type { DataSource, QueryRunner } from 'typeorm'
import { JournalError } from '../core/errors.js'
import { sharesConnection } from './file-sql.js'
import { dataSourceOf } from './typeorm-versions.js'

/** How long work in the background waits for transactions of the application. */
const maxWaitSeconds = 30

/**
 * Waits until no transaction is open on the connection, where all of a process share one (SQLite): a statement would
 * become a part of that transaction, see what it has not committed, and be undone with it.
 *
 * @param withinMs how long to wait at most. @default 30,000
 * @throws JournalError `journal-failed` when a transaction is still open then.
 */
export async function untilCommitted(
  runner: QueryRunner,
  { withinMs = maxWaitSeconds * 1000 }: { withinMs?: number } = {},
): Promise<void> {
  if (!sharesConnection(dataSourceOf(runner))) return
  const giveUpAt = Date.now() + withinMs
  while (runner.isTransactionActive) {
    if (Date.now() >= giveUpAt) {
      throw new JournalError(
        'journal-failed',
        `a transaction has been open on the only connection to the SQLite database for ${withinMs / 1000} seconds, and ` +
          'what is written meanwhile would be rolled back with it: upload files before the transaction begins, and end ' +
          'it before waiting for files',
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What a query gives when no transaction is under way on its connection, neither before nor after it. */
export async function readCommitted<Row>(
  runner: QueryRunner,
  sql: string,
  parameters: unknown[],
): Promise<Row[]> {
  return whileCommitted(runner, () => runner.query(sql, parameters))
}

/**
 * Does work when no transaction is under way on its connection, neither before nor after it, and otherwise again: it has
 * to come to the same when it is repeated.
 *
 * @throws JournalError `journal-failed` when a transaction is open for longer than `withinMs`.
 */
export async function whileCommitted<Result>(
  runner: QueryRunner,
  work: () => Promise<Result>,
  limit: { withinMs?: number } = {},
): Promise<Result> {
  let result: Result
  do {
    await untilCommitted(runner, limit)
    result = await work()
  } while (sharesConnection(dataSourceOf(runner)) && runner.isTransactionActive)
  return result
}

/** Whether a SQLite database outlives its process, so that other processes may have it too. */
export function isSqliteFile({ options }: DataSource): boolean {
  return options.type === 'better-sqlite3' && options.database !== ':memory:' && options.database !== ''
}
