import type { DataSource, QueryRunner } from 'typeorm'

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
      await runner.connect()
      stop.throwIfAborted()
    }
    return await work(runner)
  } finally {
    await runner.release()
  }
}
