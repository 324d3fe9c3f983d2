import type { QueryRunner } from 'typeorm'
import { sharesConnection } from './file-sql.js'

/** SQLite has one connection for all, which would show what another transaction has not committed: waits for its end. */
export async function untilCommitted(runner: QueryRunner): Promise<void> {
  if (!sharesConnection(runner.dataSource)) return
  while (runner.isTransactionActive) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** What a query gives when no transaction is under way on its connection, neither before nor after it. */
export async function readCommitted<Row>(
  runner: QueryRunner,
  sql: string,
  parameters: unknown[],
): Promise<Row[]> {
  let rows: Row[]
  do {
    await untilCommitted(runner)
    rows = await runner.query(sql, parameters)
  } while (sharesConnection(runner.dataSource) && runner.isTransactionActive)
  return rows
}
