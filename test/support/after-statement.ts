import type { DataSource, QueryRunner } from 'typeorm'

/**
 * Runs `work` once, after the first statement of the DataSource that matches has been answered and before its caller
 * hears of it: what another process does between two statements.
 *
 * @returns a function that ends this, and tells whether `work` has run.
 */
export function afterStatement(
  dataSource: DataSource,
  pattern: RegExp,
  work: () => Promise<unknown>,
): () => boolean {
  const { createQueryRunner } = dataSource
  const undo: (() => void)[] = []
  let hasRun = false
  dataSource.createQueryRunner = function (mode) {
    const runner = createQueryRunner.call(this, mode)
    const { query } = runner
    runner.query = async function (this: QueryRunner, statement: string, ...rest: never[]) {
      const answer = await query.call(this, statement, ...rest)
      if (!hasRun && pattern.test(statement)) {
        hasRun = true
        await work()
      }
      return answer
    } as QueryRunner['query']
    undo.push(() => {
      runner.query = query
    })
    return runner
  }
  return () => {
    dataSource.createQueryRunner = createQueryRunner
    for (const each of undo.toReversed()) each()
    return hasRun
  }
}
