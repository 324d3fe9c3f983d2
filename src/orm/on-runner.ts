import type { DataSource, QueryRunner } from 'typeorm'
import { JournalError } from '../core/errors.js'
import { dataSourceOf } from './typeorm-versions.js'

/**
 * Runs `work` on a connection of its own to the database that is written to: a replica may not have the last commit yet.
 *
 * @param stop keeps work from beginning when the connection comes too late.
 * @throws the reason of `stop`.
 */
export async function onRunner<Result>(
  dataSource: DataSource,
  work: (runner: QueryRunner) => Promise<Result>,
  stop?: AbortSignal,
): Promise<Result> {
  const runner = dataSource.createQueryRunner('master')
  try {
    if (stop !== undefined) {
      await connectInTurn(runner)
      stop.throwIfAborted()
    }
    return await work(runner)
  } finally {
    await runner.release()
  }
}

/** Work that waits for a connection, which nobody takes out of the pool's queue again, also when its upload has ended. */
const mostWaiting = 1000
const waiting = new WeakMap<DataSource, number>()

async function connectInTurn(runner: QueryRunner): Promise<void> {
  const dataSource = dataSourceOf(runner)
  const count = (by: number) => waiting.set(dataSource, (waiting.get(dataSource) ?? 0) + by)
  if ((waiting.get(dataSource) ?? 0) >= mostWaiting) {
    throw new JournalError(
      'journal-failed',
      `${mostWaiting} uploads wait for a connection already: all connections of the pool are in use`,
    )
  }
  count(1)
  try {
    await runner.connect()
  } finally {
    count(-1)
  }
}
