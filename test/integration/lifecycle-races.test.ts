import type { EntityManager } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { fileJournal } from '../../src/orm/register-journals.ts'
import { DatabaseProxy } from '../support/database-proxy.ts'
import { Paper, Stack, Witness } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, runDatabase, settings } from '../support/lifecycle-world.ts'

class Stop extends Error {}

const serverSettings = settings.filter(({ database }) => database.isServer)

describe.skipIf(serverSettings.length > 0)('without a database server', () => {
  it.skip(`has no transactions that meet (${runDatabase.name} has one session)`, () => undefined)
})

describe.each(serverSettings)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  const transaction = (work: (manager: EntityManager) => Promise<unknown>) =>
    world.dataSource.transaction(work)
  const saved = async (text = 'old') => world.saved(Paper, { file: await world.upload(text) })

  /** A promise, and what resolves it. */
  function gate(): { opened: Promise<void>; open: () => void } {
    let open: () => void = () => undefined
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    return { opened, open }
  }

  it('leaves the file of one of several transactions that have loaded the row and replace it, and refuses the others', async () => {
    const { id } = await saved()
    const files = await Promise.all(['1', '2', '3', '4'].map((text) => world.upload(text)))
    let loaded = 0
    const all = gate()
    const outcomes = await Promise.allSettled(
      files.map((file) =>
        transaction(async (manager) => {
          const row = await manager.findOneByOrFail(Paper, { id })
          loaded++
          if (loaded === files.length) all.open()
          await all.opened
          await manager.save(Object.assign(row, { file }))
        }),
      ),
    )
    await world.expectTruth()
    expect(await world.rowKeys()).toHaveLength(1)
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    expect(errors).toEqual(Array(3).fill(expect.objectContaining({ code: 'file-changed' })))
  })

  it.each(['COMMIT', 'ROLLBACK'])(
    'deletes a file that came into a row while it is being removed, and %s',
    async (end) => {
      const row = await saved()
      const file = await world.upload('new')
      const stale = await world.manager.findOneByOrFail(Paper, { id: row.id })
      const [locked, waiting] = [gate(), gate()]
      const replacing = transaction(async (manager) => {
        await manager.save(Object.assign(row, { file }))
        locked.open()
        await waiting.opened
        if (end === 'ROLLBACK') throw new Stop()
      })
      await locked.opened
      const removing = world.manager.remove(stale)
      await waitsForLock()
      waiting.open()
      await Promise.allSettled([replacing, removing])
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    },
  )

  it.each(['COMMIT', 'ROLLBACK'])(
    'goes by whether the row is still there, removed meanwhile, and %s',
    async (end) => {
      const row = await saved()
      const file = await world.upload('new')
      const stale = await world.manager.findOneByOrFail(Paper, { id: row.id })
      const [locked, waiting] = [gate(), gate()]
      const removing = transaction(async (manager) => {
        await manager.remove(stale)
        locked.open()
        await waiting.opened
        if (end === 'ROLLBACK') throw new Stop()
      })
      await locked.opened
      const replacing = world.manager.save(Object.assign(row, { file }))
      await waitsForLock()
      waiting.open()
      await Promise.allSettled([removing, replacing])
      await world.expectTruth()
      expect(await world.s3.keys()).toHaveLength(end === 'COMMIT' ? 0 : 1)
    },
  )

  /** Until some statement waits for another transaction. MariaDB tells anew only when it was not asked for 100 ms. */
  async function waitsForLock(): Promise<void> {
    const sql =
      database.name === 'PostgreSQL'
        ? "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        : "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    await expect
      .poll(async () => (await world.dataSource.query(sql)).length, { interval: 150 })
      .toBeGreaterThan(0)
  }

  describe('a transaction that has seen the row before another one changed it', () => {
    it('keeps a file that has come into a list since, when it writes the list in another order', async () => {
      const [first, second] = [await world.upload('1'), await world.upload('2')]
      const { id } = await world.saved(Stack, { files: [first, second] })
      const third = await world.upload('3')
      await transaction(async (manager) => {
        const row = await manager.findOneByOrFail(Stack, { id })
        await world.manager.save(Object.assign(new Stack(), { id, files: [first, second, third] }))
        await manager.save(Object.assign(row, { files: [second, first] }))
      })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(3)
    })

    it('deletes a file that has come into an empty row since, when it removes the row', async () => {
      const { id } = await world.saved(Paper, { file: null })
      const file = await world.upload('1')
      await transaction(async (manager) => {
        const row = await manager.findOneByOrFail(Paper, { id })
        await world.manager.save(Object.assign(new Paper(), { id, file }))
        await manager.remove(row)
      })
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })

    it('may save a file that another one has saved since', async () => {
      const file = await world.upload('both')
      await transaction(async (manager) => {
        await manager.find(Paper)
        if (hasJournal) await world.entries()
        await world.saved(Paper, { file })
        await manager.save(Object.assign(new Witness(), { file }))
      })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })
  })

  it.each(['COMMIT', 'ROLLBACK'])(
    'settles one upload in two transactions at once, the first ends with %s',
    async (end) => {
      const file = await world.upload('both')
      const [locked, waiting, ended] = [gate(), gate(), gate()]
      const first = transaction(async (manager) => {
        await manager.save(Object.assign(new Paper(), { file }))
        locked.open()
        await waiting.opened
        if (end === 'ROLLBACK') throw new Stop()
      })
      await locked.opened
      const second = transaction(async (manager) => {
        const saving = manager.save(Object.assign(new Witness(), { file }))
        if (hasJournal) await waitsForLock()
        waiting.open()
        await saving
        await ended.opened
      })
      const [firstOutcome] = await Promise.allSettled([first])
      ended.open()
      const [secondOutcome] = await Promise.allSettled([second])
      await world.expectTruth()
      expect([firstOutcome.status, secondOutcome.status]).toEqual(
        end === 'COMMIT' ? ['fulfilled', 'fulfilled'] : ['rejected', 'rejected'],
      )
    },
  )

  it('deletes the new object when the connection is lost in a savepoint', async () => {
    const row = await saved()
    Object.assign(row, { file: await world.upload('new') })
    const lost = transaction((outer) =>
      outer.transaction(async (manager) => {
        await manager.save(row)
        await world.kill(manager)
        await manager.query('SELECT 1')
      }),
    )
    await expect(lost).rejects.toThrow()
    if (hasJournal) await world.workOffJournal()
    await world.expectTruth()
    expect(await row.file.exists()).toBe(false)
  })

  it('keeps both objects when the answer to COMMIT is lost, until the janitor knows', async () => {
    const row = await saved()
    const old = row.file
    const proxy = await DatabaseProxy.start(database.url)
    const distant = await world.connect({ url: proxy.url })
    const journal = hasJournal ? { journal: fileJournal(distant) } : {}
    Object.assign(row, { file: await world.upload('new', journal) })
    proxy.loseAnswersTo('COMMIT')
    await expect(distant.manager.save(row)).rejects.toThrow(/connection/i)
    await distant.destroy()
    await proxy.stop()
    expect([await old.exists(), await row.file.exists()]).toEqual([true, true])
    expect(await world.rowKeys()).toEqual([row.file.key.slice(world.s3.prefix.length)])
    if (!hasJournal) return
    await new FileJanitor(world.dataSource).runOnce()
    await world.expectTruth()
  })

  it('settles many transactions at once', async () => {
    const rows = await Promise.all(['1', '2', '3', '4', '5'].map((text) => saved(text)))
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, async (_, index) => {
        const file = await world.upload(`n${index}`)
        const { id } = rows[(index * 7) % rows.length] as Paper
        await transaction(async (manager) => {
          const row = await manager.findOneByOrFail(Paper, { id })
          await manager.save(Object.assign(row, { file: index % 5 === 0 ? null : file }))
          if (index % 5 === 0) await manager.save(Object.assign(new Witness(), { file }))
          if (index % 4 === 0) throw new Stop()
        })
      }),
    )
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    const isExpected = (error: unknown) => error instanceof Stop || isS3FileError(error, 'file-changed')
    expect(errors.filter((error) => !isExpected(error))).toEqual([])
    await world.expectTruth()
  })

  it.runIf(hasJournal)('leaves an upload that is due to the transaction that is saving it', async () => {
    const file = await world.upload('late')
    await world.age(10 * 86_400)
    await transaction(async (manager) => {
      await manager.save(Object.assign(new Paper(), { file }))
      expect(await new FileJanitor(world.dataSource).runOnce()).toMatchObject({
        deleted: 0,
        kept: 0,
        failed: 0,
      })
    })
    await world.expectTruth()
    expect(await file.exists()).toBe(true)
  })
})
