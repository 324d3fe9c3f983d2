import type { Logger } from 'typeorm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { findJournaledKeys } from '../../src/orm/journal-backlog.ts'
import { silentLogger } from '../support/database.ts'
import { Paper } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settingsWithJournal, type TestedDatabase } from '../support/lifecycle-world.ts'

/** Retained releases, and as many that a janitor has taken: none of them is due. */
const entries = 200_000

const numbers: Record<TestedDatabase['name'], string> = {
  PGlite: `generate_series(1, ${entries}) AS numbers(n)`,
  PostgreSQL: `generate_series(1, ${entries}) AS numbers(n)`,
  MariaDB: `(SELECT seq AS n FROM seq_1_to_${entries}) AS numbers`,
  SQLite: `(WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ${entries}) SELECT n FROM counter) AS numbers`,
}

describe.each(settingsWithJournal)('a journal of 200,000 entries on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  const asked: { query: string; parameters: unknown[] }[] = []
  const later = new Date(Date.now() + 86_400_000).toISOString()

  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal })
    const { driver } = world.dataSource
    const columns = ['id', 'reason', 'storage', 'key', 'since', 'dueAt', 'claimedUntil', 'attempts']
    const text = database.name === 'MariaDB' ? 'n' : 'CAST(n AS text)'
    const word = (prefix: string) =>
      database.name === 'MariaDB' ? `CONCAT('${prefix}', ${text})` : `'${prefix}' || ${text}`
    await world.dataSource.query(
      `INSERT INTO file_journal (${columns.map((name) => driver.escape(name)).join(', ')}) ` +
        `SELECT ${word('id-')}, 'release', 'default', ${word('some/key/')}, '${new Date().toISOString()}', '${later}', ` +
        `CASE WHEN n % 2 = 0 THEN '${later}' END, 0 FROM ${numbers[database.name]}`,
    )
    await world.dataSource.query(database.name === 'MariaDB' ? 'ANALYZE TABLE file_journal' : 'ANALYZE')
    const logger: Logger = {
      ...silentLogger,
      logQuery: (query, parameters) => {
        if (/file_journal/.test(query) && /^(SELECT|UPDATE|DELETE)/.test(query))
          asked.push({ query, parameters: (parameters ?? []) as unknown[] })
      },
    }
    Object.assign(world.dataSource, { logger })
  })
  afterAll(() => world.stop())

  /** The plans of the statements on the journal that `work` has sent. */
  async function plansOf(work: () => Promise<unknown>): Promise<{ query: string; plan: string }[]> {
    asked.length = 0
    await work()
    await filesSettled()
    const plans: { query: string; plan: string }[] = []
    for (const { query, parameters } of asked.splice(0)) {
      const explain = database.name === 'SQLite' ? 'EXPLAIN QUERY PLAN' : 'EXPLAIN'
      const rows = await world.dataSource.query(`${explain} ${query}`, parameters)
      plans.push({ query, plan: JSON.stringify(rows) })
    }
    asked.length = 0
    return plans
  }

  /** That each of them goes by an index. */
  function expectIndexed(plans: { query: string; plan: string }[]): void {
    expect(plans.length).toBeGreaterThan(0)
    const scan = /Seq Scan on file_journal|"SCAN (?!.*USING (COVERING )?INDEX)|"type":"ALL"/
    expect(plans.filter(({ plan }) => scan.test(plan))).toEqual([])
  }

  it('is polled by an index when nothing is due', async () => {
    expectIndexed(await plansOf(() => new FileJanitor(world.dataSource).runOnce()))
  })

  it('is asked by an index when files are saved, copied, replaced, removed and discarded', async () => {
    const [first, second, third] = [await world.upload('1'), await world.upload('2'), await world.upload('3')]
    const plans = await plansOf(async () => {
      const row = await world.saved(Paper, { file: first })
      await world.manager.save(Object.assign(row, { file: second }))
      await filesSettled()
      await world.saved(Paper, { file: second })
      await world.manager.remove(row)
      await third.discard()
    })
    expectIndexed(plans)
  })

  it.each([1, 500])('is asked by an index for %i keys', async (count) => {
    const keys = Array.from({ length: count }, (_, index) => `some/key/${index + 1}`)
    const plans = await plansOf(async () => {
      expect((await findJournaledKeys(world.manager, keys)).size).toBe(count)
    })
    expectIndexed(plans)
  })
})
