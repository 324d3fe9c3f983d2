import type { EntitySubscriberInterface, QueryRunner } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { createFileTriggers, dropFileTriggers } from '../../src/orm/file-triggers.ts'
import { forgetTriggers } from '../../src/orm/installed-triggers.ts'
import { Paper, Stack, Witness } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings, settingsWithJournal } from '../support/lifecycle-world.ts'
import { isTypeorm03 } from '../support/typeorm-version.ts'

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal })
    // Asks once for each table whether it has triggers.
    const row = await world.saved(Paper, { file: await world.upload('1') })
    await world.manager.save(Object.assign(row, { file: null }))
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  /** What a save takes more than TypeORM alone. */
  async function extraStatements(prepare: () => Promise<() => Promise<unknown>>): Promise<string[]> {
    const alone = await prepare()
    await filesSettled()
    const usual = await world.withSubscribers([], () => world.statementsOf(alone))
    const work = await prepare()
    await filesSettled()
    const statements = await world.statementsOf(work)
    const extra = statements.slice(0, statements.indexOf('COMMIT') + 1)
    for (const statement of usual) {
      const index = extra.findIndex((other) => shape(other) === shape(statement))
      if (index >= 0) extra.splice(index, 1)
    }
    return extra
  }
  const shape = (statement: string) => statement.split(' ').slice(0, 3).join(' ')

  it('costs one more statement to insert a new file, none without a journal', async () => {
    const extra = await extraStatements(async () => {
      const row = Object.assign(new Paper(), { file: await world.upload('new') })
      return () => world.manager.save(row)
    })
    expect(extra).toEqual(hasJournal ? [expect.stringMatching(/^DELETE FROM .file_journal/)] : [])
  })

  it('costs a read that locks the row to replace a file, and with a journal a write', async () => {
    const extra = await extraStatements(async () => {
      const row = await world.saved(Paper, { file: await world.upload('old') })
      const file = await world.upload('new')
      return () => world.manager.save(Object.assign(row, { file }))
    })
    const lock = database.name === 'SQLite' ? '' : ' FOR (NO KEY )?UPDATE'
    expect(extra).toEqual([
      expect.stringMatching(new RegExp(`^SELECT .* FROM .paper. .*${lock}$`)),
      ...(hasJournal ? [expect.stringMatching(/^UPDATE .file_journal. /)] : []),
    ])
  })

  it('costs a read and a write for each table, not for each row', async () => {
    const extra = await extraStatements(async () => {
      const rows = await Promise.all(
        ['1', '2', '3', '4'].map(async (text) => world.saved(Paper, { file: await world.upload(text) })),
      )
      const file = await world.upload('new')
      rows.splice(3, 1, Object.assign(rows[3] as Paper, { file }))
      return () => world.manager.save(rows.map((row) => Object.assign(row, { file: null })))
    })
    expect(extra).toHaveLength(hasJournal ? 2 : 1)
  })

  it('costs nothing to save a row without touching its file', async () => {
    const touched = async (row: object) => () => world.manager.save(Object.assign(row, { title: 'x' }))
    const extra = await extraStatements(async () => {
      await world.clear()
      return touched(await world.saved(Paper, { file: await world.upload('1') }))
    })
    expect(extra).toEqual([])
    const partial = await extraStatements(async () => {
      await world.clear()
      const { id } = await world.saved(Paper, { file: await world.upload('1') })
      return touched(Object.assign(new Paper(), { id }))
    })
    expect(partial).toEqual([])
  })

  it('costs nothing to save a row that is as it was', async () => {
    const files = [await world.upload('1'), await world.upload('2')]
    await world.saved(Stack, { files })
    await world.saved(Paper, { file: await world.upload('3') })
    const rows = [...(await world.manager.find(Stack)), ...(await world.manager.find(Paper))]
    const statements = await world.statementsOf(() => world.manager.save(rows))
    expect(statements.filter((statement) => !statement.startsWith('SELECT'))).toEqual([])
    expect(statements).toHaveLength(2)
  })

  it.skipIf(!['PGlite', 'PostgreSQL'].includes(database.name))(
    'never asks two things at once on one connection',
    async () => {
      let [running, most] = [0, 0]
      const counter: EntitySubscriberInterface = {
        beforeQuery: () => {
          running++
          most = Math.max(most, running)
        },
        afterQuery: () => {
          running--
        },
      }
      const rows = [
        await world.saved(Paper, { file: await world.upload('1') }),
        await world.saved(Witness, { file: await world.upload('2') }),
        await world.saved(Stack, { files: [await world.upload('3')] }),
      ]
      const [first, second] = [await world.upload('4'), await world.upload('5')]
      Object.assign(rows[0] as Paper, { file: first })
      Object.assign(rows[1] as Witness, { file: second })
      Object.assign(rows[2] as Stack, { files: [] })
      forgetTriggers(world.dataSource)
      await filesSettled()
      await world.withSubscribers([...world.dataSource.subscribers, counter], () => world.manager.save(rows))
      // TypeORM 0.3 itself looks for the rows of all entities at once.
      expect(most).toBe(isTypeorm03 ? rows.length : 1)
      await world.expectTruth()
    },
  )
})

describe.each(settingsWithJournal)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  it('notes more objects at once than a statement takes parameters', async () => {
    // SQLite takes 32,766, PostgreSQL 65,535, and an entry has 11.
    const count = database.name === 'SQLite' ? 3_100 : 6_100
    const files = Array.from(
      { length: count },
      (_, index) => new S3File({ key: `${world.s3.prefix}${index}` }),
    )
    const { id } = await world.saved(Stack, { files: [] })
    const records = JSON.stringify(files.map((file) => file.toRecord()))
    await world.query('UPDATE stack SET files = :records WHERE id = :id', { records, id })
    await world.manager.remove(await world.manager.findOneByOrFail(Stack, { id }))
    await world.expectTruth()
  })

  describe('where triggers note what rows release', () => {
    const onRunner = async (work: (runner: QueryRunner) => Promise<void>) => {
      const runner = world.dataSource.createQueryRunner()
      await work(runner).finally(() => runner.release())
    }
    beforeAll(() => onRunner((runner) => createFileTriggers(runner, Paper)))
    afterAll(() => onRunner((runner) => dropFileTriggers(runner, Paper)))

    it('an upload for a row that somebody else has removed meanwhile is deleted all the same', async () => {
      const row = await world.saved(Paper, { file: null })
      Object.assign(row, { file: await world.upload('new') })
      const removing: EntitySubscriberInterface = {
        beforeUpdate: async ({ manager }) => {
          const statement = manager.createQueryBuilder().delete().from(Paper).whereInIds(row.id)
          await statement.callListeners(false).execute()
        },
      }
      await world.withSubscribers([removing, ...world.dataSource.subscribers], () => world.manager.save(row))
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })

    it('they alone write the entries, and removing a row needs no read of it', async () => {
      const row = await world.saved(Paper, { file: await world.upload('old') })
      const statements = await world.statementsOf(() => world.manager.remove(row))
      expect(statements.filter((statement) => /FOR UPDATE|file_journal/.test(statement))).toEqual([])
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })

    it('they alone delete the entry of an upload that is saved, and note what it replaces', async () => {
      const row = await world.saved(Paper, { file: await world.upload('old') })
      const file = await world.upload('new')
      const statements = await world.statementsOf(() => world.manager.save(Object.assign(row, { file })))
      const commit = statements.indexOf('COMMIT')
      expect(
        statements.slice(0, commit).filter((statement) => /^[^S].*file_journal/.test(statement)),
      ).toEqual([])
      await world.expectTruth()
      expect(await world.s3.keys()).toHaveLength(1)
    })
  })
})
