import type { DataSource, QueryRunner } from 'typeorm'

/** Runs `work` on a connection of its own to the database that is written to: a replica may not have the last commit yet. */
export async function onRunner<Result>(
  dataSource: DataSource,
  work: (runner: QueryRunner) => Promise<Result>,
): Promise<Result> {
  const runner = dataSource.createQueryRunner('master')
  try {
    return await work(runner)
  } finally {
    await runner.release()
  }
}
