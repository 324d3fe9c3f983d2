import type { QueryRunner } from 'typeorm'

/** Runs `work` in the runner's transaction, or in one of its own where there is none. */
export async function inTransaction<Result>(
  runner: QueryRunner,
  work: () => Promise<Result>,
  isolation?: 'READ COMMITTED',
): Promise<Result> {
  if (runner.isTransactionActive) return work()
  await runner.startTransaction(isolation)
  try {
    const result = await work()
    await runner.commitTransaction()
    return result
  } catch (error) {
    // The first error tells more. One that comes after COMMIT leaves nothing to roll back.
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined)
    throw error
  }
}
