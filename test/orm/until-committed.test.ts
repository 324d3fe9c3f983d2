import { DataSource, type QueryRunner } from 'typeorm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readCommitted, untilCommitted, whileCommitted } from '../../src/orm/until-committed.ts'

describe('on the one connection of a SQLite database', () => {
  let dataSource: DataSource
  let runner: QueryRunner
  beforeEach(async () => {
    dataSource = await new DataSource({ type: 'sqljs' }).initialize()
    runner = dataSource.createQueryRunner()
    await runner.query('CREATE TABLE note (text TEXT PRIMARY KEY)')
  })
  afterEach(() => dataSource.destroy())

  const notes = async () =>
    (await runner.query('SELECT text FROM note')).map(({ text }: { text: string }) => text)

  it('work waits for the end of an open transaction, and of its savepoints', async () => {
    const order: string[] = []
    await runner.startTransaction()
    await runner.startTransaction()
    const waiting = untilCommitted(runner).then(() => order.push('went on'))
    await runner.commitTransaction()
    await new Promise((resolve) => setTimeout(resolve, 20))
    order.push('commits')
    await runner.commitTransaction()
    await waiting
    expect(order).toEqual(['commits', 'went on'])
  })

  it('work gives up after its time limit, and says what to do', async () => {
    await runner.startTransaction()
    await expect(untilCommitted(runner, { withinMs: 20 })).rejects.toMatchObject({
      code: 'journal-failed',
      message: expect.stringContaining('upload files before the transaction begins'),
    })
    await runner.rollbackTransaction()
  })

  it('a query does not see what a transaction has not committed', async () => {
    await runner.startTransaction()
    await runner.query("INSERT INTO note VALUES ('uncommitted')")
    const reading = readCommitted(runner, 'SELECT * FROM note', [])
    await runner.rollbackTransaction()
    expect(await reading).toEqual([])
  })

  it('a write is repeated when a transaction that has begun meanwhile takes it back', async () => {
    let attempts = 0
    const writing = whileCommitted(runner, async () => {
      if (attempts === 0) await runner.startTransaction() // That of another request.
      await runner.query("INSERT OR IGNORE INTO note VALUES ('kept')")
      attempts++
    })
    await expect.poll(() => attempts).toBe(1)
    await runner.rollbackTransaction()
    await writing
    expect(await notes()).toEqual(['kept'])
    expect(attempts).toBe(2)
  })
})
