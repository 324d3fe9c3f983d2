import { Readable } from 'node:stream'
import type { EntityManager, EntitySubscriberInterface } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { Draft, Keeper, Paper, Stack, Witness } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings } from '../support/lifecycle-world.ts'

class Stop extends Error {}

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  const saved = async (text = 'old') => world.saved(Paper, { file: await world.upload(text) })
  const replaced = async (row: Paper, text = 'new') => Object.assign(row, { file: await world.upload(text) })
  const rolledBack = (work: () => Promise<unknown>) => expect(work()).rejects.toThrow(Stop)

  describe('a save without a transaction', () => {
    it('deletes what was replaced, cleared or removed', async () => {
      const [first, second, third] = [await saved('1'), await saved('2'), await saved('3')]
      await replaced(first)
      await world.manager.save(first, { transaction: false })
      await world.manager.save(Object.assign(second, { file: null }), { transaction: false })
      await world.manager.remove(third, { transaction: false })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('leaves alone what another save on its connection is about to save', async () => {
      const late = { beforeInsert: () => new Promise<void>((resolve) => setTimeout(resolve, 50)) }
      const [first, second] = [await world.upload('1'), await world.upload('2')]
      const runner = world.dataSource.createQueryRunner()
      const save = (file: S3File) =>
        runner.manager.save(Object.assign(new Paper(), { file }), { transaction: false })
      const [usual] = world.dataSource.subscribers
      await world.withSubscribers([usual as EntitySubscriberInterface], async () => {
        const quick = save(first)
        world.dataSource.subscribers.push(late)
        await Promise.all([quick, save(second)])
      })
      await runner.release()
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(2)
    })
  })

  it('keeps all files of saves that run side by side', async () => {
    const rows = await Promise.all(['1', '2', '3', '4'].map((text) => saved(text)))
    await Promise.all(rows.map(async (row) => world.manager.save(await replaced(row))))
    await world.expectTruth()
    expect(await world.rowKeys()).toHaveLength(4)
  })

  it('keeps the file of a save that another transaction ends in the midst of, on the same connection', async () => {
    let isHeld = false
    const late: EntitySubscriberInterface = {
      beforeInsert: () => (isHeld ? new Promise<void>((resolve) => setTimeout(resolve, 50)) : undefined),
    }
    const [first, second] = [await world.upload('1'), await world.upload('2')]
    const [usual] = world.dataSource.subscribers as [EntitySubscriberInterface]
    await world.withSubscribers([usual, late], async () => {
      const quick = world.manager.save(Object.assign(new Paper(), { file: first }))
      const slow = world.manager.save(Object.assign(new Witness(), { file: second }))
      isHeld = true
      await Promise.all([quick, slow])
    })
    await world.expectTruth()
    expect(await world.rowKeys()).toHaveLength(2)
  })

  describe('a subscriber that throws', () => {
    const fail = () => {
      throw new Error('mine')
    }

    it.each(['before', 'behind'])(
      'after COMMIT, %s ours: the old object goes all the same',
      async (place) => {
        const row = await replaced(await saved())
        const mine = { afterTransactionCommit: fail }
        const [ours] = world.dataSource.subscribers as [EntitySubscriberInterface]
        await world.withSubscribers(place === 'before' ? [mine, ours] : [ours, mine], async () => {
          await expect(world.manager.save(row)).rejects.toThrow('mine')
        })
        await world.expectTruth()
        expect(await row.file?.exists()).toBe(true)
        await world.manager.save(Object.assign(row, { title: 'again' }))
      },
    )

    it.each(['before', 'behind'])(
      'after ROLLBACK, %s ours: the new object goes all the same',
      async (place) => {
        const row = await replaced(await saved())
        const mine = { afterTransactionRollback: fail }
        const [ours] = world.dataSource.subscribers as [EntitySubscriberInterface]
        await world.withSubscribers(place === 'before' ? [mine, ours] : [ours, mine], () =>
          rolledBack(() =>
            world.dataSource.transaction(async (manager) => {
              await manager.save(row)
              throw new Stop()
            }),
          ),
        )
        await world.expectTruth()
      },
    )

    it('before COMMIT: the transaction is rolled back, and its files with it', async () => {
      const row = await replaced(await saved())
      const [ours] = world.dataSource.subscribers as [EntitySubscriberInterface]
      await world.withSubscribers([ours, { beforeTransactionCommit: fail }], async () => {
        await expect(world.manager.save(row)).rejects.toThrow('mine')
      })
      await world.expectTruth()
      expect(await row.file?.exists()).toBe(false)
    })
  })

  describe('a statement that fails', () => {
    it('takes the new objects of its save with it', async () => {
      await world.saved(Paper, { title: 'taken', file: await world.upload('1') })
      const other = await world.saved(Paper, { title: 'free', file: await world.upload('2') })
      await expect(world.saved(Paper, { title: 'taken', file: await world.upload('3') })).rejects.toThrow()
      Object.assign(await replaced(other), { title: 'taken' })
      await expect(world.manager.save(other)).rejects.toThrow()
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(2)
    })

    it('takes them also when it fails in a savepoint and the transaction goes on', async () => {
      await world.saved(Paper, { title: 'taken', file: await world.upload('1') })
      const [refused, other] = [await world.upload('2'), await world.upload('3')]
      await world.dataSource.transaction(async (manager) => {
        const row = Object.assign(new Paper(), { title: 'taken', file: refused })
        await expect(manager.transaction((inner) => inner.save(row))).rejects.toThrow()
        await manager.save(Object.assign(new Paper(), { file: other }))
      })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(2)
    })

    it.skipIf(!['PGlite', 'PostgreSQL'].includes(database.name))(
      'takes them when PostgreSQL answers COMMIT with ROLLBACK, which TypeORM does not notice',
      async () => {
        const row = await replaced(await saved())
        await world.dataSource.transaction(async (manager) => {
          await manager.save(row)
          await manager.query('SELECT 1/0').catch(() => undefined)
        })
        await world.expectTruth()
        expect(await row.file?.exists()).toBe(false)
      },
    )

    it.skipIf(database.name !== 'MariaDB')(
      'takes them when it is caught and the transaction goes on, as MariaDB lets it',
      async () => {
        await world.saved(Paper, { title: 'taken', file: await world.upload('1') })
        const [refused, other] = [await world.upload('2'), await world.upload('3')]
        await world.dataSource.transaction(async (manager) => {
          const row = Object.assign(new Paper(), { title: 'taken', file: refused })
          await expect(manager.save(row)).rejects.toThrow()
          await manager.save(Object.assign(new Paper(), { file: other }))
        })
        await world.expectTruth()
        expect(await refused.exists()).toBe(false)
      },
    )
  })

  describe('another try after a rollback', () => {
    const failing = (row: Paper) =>
      rolledBack(() =>
        world.dataSource.transaction(async (manager) => {
          await manager.save(row)
          throw new Stop()
        }),
      )

    it('is refused with file-gone, and leaves nothing', async () => {
      const row = Object.assign(new Paper(), { file: await world.upload('new') })
      await failing(row)
      const again = Object.assign(new Paper(), { file: row.file })
      await expect(world.manager.save(again)).rejects.toMatchObject({ code: 'file-gone', statusCode: 409 })
      await expect(world.manager.insert(Paper, { file: row.file })).rejects.toMatchObject({
        code: 'file-gone',
      })
      await world.expectTruth()
      expect(await world.rows()).toEqual([])
    })

    it('is refused for a whole list, and waits for what was begun for others', async () => {
      const [other, gone] = [await saved('1'), await world.upload('gone')]
      await failing(Object.assign(new Paper(), { file: gone }))
      const list = [await replaced(other, 'new'), Object.assign(new Paper(), { file: gone })]
      await expect(world.manager.save(list)).rejects.toMatchObject({ code: 'file-gone' })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it("succeeds with onRollback: 'keep'", async () => {
      const Keeping = S3FileSubscriber.with({ onRollback: 'keep' })
      const row = await replaced(await saved())
      await world.withSubscribers([new Keeping()], async () => {
        await failing(row)
        await filesSettled()
        expect(await row.file?.exists()).toBe(true)
        await world.manager.save(row)
      })
      await world.expectTruth()
      expect(await row.file?.exists()).toBe(true)
    })
  })

  describe('several changes in one transaction', () => {
    it('keeps the last of two replacements', async () => {
      const row = await saved()
      const [second, third] = [await world.upload('2'), await world.upload('3')]
      await world.dataSource.transaction(async (manager) => {
        await manager.save(Object.assign(row, { file: second }))
        await manager.save(Object.assign(row, { file: third }))
      })
      await world.expectTruth()
      expect(await third.exists()).toBe(true)
    })

    it('keeps a file that was replaced and put back', async () => {
      const row = await saved()
      const [old, other] = [row.file, await world.upload('2')]
      await world.dataSource.transaction(async (manager) => {
        await manager.save(Object.assign(row, { file: other }))
        await manager.save(Object.assign(row, { file: old }))
      })
      await world.expectTruth()
      expect(await old?.exists()).toBe(true)
      expect(await other.exists()).toBe(false)
    })

    it('deletes the new one when a replacement is put back and all is rolled back', async () => {
      const row = await saved()
      const [old, other] = [row.file, await world.upload('2')]
      await rolledBack(() =>
        world.dataSource.transaction(async (manager) => {
          await manager.save(Object.assign(row, { file: other }))
          await manager.save(Object.assign(row, { file: old }))
          throw new Stop()
        }),
      )
      await world.expectTruth()
      expect(await old?.exists()).toBe(true)
    })

    it('deletes what one upload has replaced in several rows', async () => {
      const [first, second] = [await saved('1'), await saved('2')]
      const file = await world.upload('both')
      await world.dataSource.transaction(async (manager) => {
        await manager.save(Object.assign(first, { file }))
        await manager.save(Object.assign(second, { file }))
        await manager.save(Object.assign(new Witness(), { file }))
      })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('keeps an upload that was saved again after its savepoint was rolled back', async () => {
      const row = await replaced(await saved())
      await world.dataSource.transaction(async (manager) => {
        await rolledBack(() =>
          manager.transaction(async (inner) => {
            await inner.save(row)
            throw new Stop()
          }),
        )
        await manager.save(row)
      })
      await world.expectTruth()
      expect(await row.file?.exists()).toBe(true)
    })

    it('goes by the innermost of several savepoints', async () => {
      const row = await saved('0')
      const [first, second, third] = [
        await world.upload('1'),
        await world.upload('2'),
        await world.upload('3'),
      ]
      const change = (file: S3File) => Object.assign(row, { file })
      await world.dataSource.transaction(async (outer) => {
        await outer.save(change(first))
        await outer.transaction(async (middle) => {
          await middle.save(change(second))
          await rolledBack(() =>
            middle.transaction(async (inner) => {
              await inner.save(change(third))
              throw new Stop()
            }),
          )
        })
        change(second)
      })
      await world.expectTruth()
      expect(await second.exists()).toBe(true)
    })
  })

  describe('an object in several rows', () => {
    it('is one upload for all rows of one save', async () => {
      const file = await world.upload('shared')
      const rows = [Object.assign(new Paper(), { file }), Object.assign(new Witness(), { file })]
      await world.manager.save(rows)
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('goes with the last of them', async () => {
      const first = await saved('shared')
      const second = await world.saved(Stack, { files: [first.file, await world.upload('own')] })
      const third = await world.saved(Draft, { file: first.file })
      await world.manager.remove(first)
      await world.expectTruth()
      await world.manager.remove(second)
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
      await world.manager.remove(third)
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })

    it('goes once when all of them go at once', async () => {
      const first = await saved('shared')
      const second = await world.saved(Paper, { file: first.file })
      await filesSettled()
      world.s3.proxy.reset()
      await world.manager.remove([first, second])
      await world.expectTruth()
      expect(world.s3.proxy.countOf('DeleteObjects')).toBe(1)
    })

    it('stays when it moves from one row to another in one save', async () => {
      const first = await saved('moving')
      const second = await saved('2')
      const { file } = first
      await world.manager.save([Object.assign(first, { file: null }), Object.assign(second, { file })])
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
      const third = await world.saved(Witness, { file: null })
      await world.manager.save([Object.assign(third, { file }), Object.assign(second, { file: null })])
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
    })
  })

  describe('a file that comes back into its row', () => {
    it('is refused with file-gone once its object is deleted, and the row keeps what it has', async () => {
      const row = await saved()
      const old = row.file
      await world.manager.save(await replaced(row))
      await filesSettled()
      await expect(world.manager.save(Object.assign(row, { file: old }))).rejects.toMatchObject({
        code: 'file-gone',
      })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('does not come back out of an entity that was loaded before it was replaced, when its title is saved', async () => {
      const row = await saved()
      const stale = await world.manager.findOneByOrFail(Paper, { id: row.id })
      await world.manager.save(await replaced(row))
      await filesSettled()
      await world.manager.save(Object.assign(stale, { title: 'other' }))
      await world.expectTruth()
      expect(await row.file?.exists()).toBe(true)
      expect(await world.manager.findOneByOrFail(Paper, { id: row.id })).toMatchObject({ title: 'other' })
    })

    it('is refused while its object is being deleted', async () => {
      const row = await saved()
      const old = row.file
      await replaced(row)
      world.s3.proxy.delayMs = 100
      await world.manager.save(row)
      await expect.poll(() => world.s3.proxy.countOf('DeleteObjects'), { interval: 1 }).toBe(1)
      await expect(world.manager.save(Object.assign(row, { file: old }))).rejects.toMatchObject({
        code: 'file-gone',
      })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })
  })

  describe('what a field says', () => {
    it("keeps with onReplace: 'keep' and deletes on removal", async () => {
      const [old, file] = [await world.upload('old'), await world.upload('new')]
      const row = await world.saved(Keeper, { replaced: old })
      await world.manager.save(Object.assign(row, { replaced: file }))
      await filesSettled()
      expect([await old.exists(), await file.exists()]).toEqual([true, true])
      await world.manager.remove(row)
      await filesSettled()
      expect([await old.exists(), await file.exists()]).toEqual([true, false])
      expect(await world.entries()).toEqual([])
    })

    it("deletes on replacement and keeps with onRemove: 'keep'", async () => {
      const [old, file] = [await world.upload('old'), await world.upload('new')]
      const row = await world.saved(Keeper, { removed: old })
      await world.manager.save(Object.assign(row, { removed: file }))
      await filesSettled()
      expect([await old.exists(), await file.exists()]).toEqual([false, true])
      await world.manager.remove(row)
      await filesSettled()
      expect(await file.exists()).toBe(true)
      expect(await world.entries()).toEqual([])
    })
  })

  it('keeps the file of a soft-removed row, also when it recovers, and deletes it with the row', async () => {
    const row = await world.saved(Draft, { file: await world.upload('draft') })
    await world.manager.softRemove(row)
    await world.expectTruth()
    await world.manager.recover(row)
    await world.expectTruth()
    await world.manager.softRemove(row)
    await world.expectTruth()
    expect(await world.s3.keys()).toHaveLength(1)
    await world.manager.remove(row)
    await world.expectTruth()
    expect(await world.s3.keys()).toEqual([])
  })

  describe('a row that somebody else has removed meanwhile', () => {
    const removing = (row: Paper): EntitySubscriberInterface => {
      const remove = async ({ manager }: { manager: EntityManager }) => {
        const statement = manager.createQueryBuilder().delete().from(Paper).whereInIds(row.id)
        await statement.callListeners(false).execute()
      }
      return { beforeUpdate: remove, beforeRemove: remove }
    }

    it('takes no file', async () => {
      const row = await replaced(await saved())
      const [ours] = world.dataSource.subscribers as [EntitySubscriberInterface]
      await world.withSubscribers([removing(row), ours], () => world.manager.save(row))
      await filesSettled()
      expect(await row.file?.exists()).toBe(false)
    })

    it('has no file to delete', async () => {
      const row = await saved()
      const [ours] = world.dataSource.subscribers as [EntitySubscriberInterface]
      await world.withSubscribers([removing(row), ours], () => world.manager.remove(row))
      await filesSettled()
      expect(await world.entries()).toEqual([])
    })
  })

  describe('statements of the query builder', () => {
    it('do not lose the file of insert(), update() and upsert()', async () => {
      const { identifiers } = await world.manager.insert(Paper, { title: 'x', file: await world.upload('1') })
      const id = identifiers[0]?.id as string
      await world.manager.update(Paper, id, { file: await world.upload('2') })
      await world.manager.upsert(Paper, { title: 'x', file: await world.upload('3') }, ['title'])
      await filesSettled()
      if (hasJournal) await world.workOffJournal()
      expect(await world.s3.keys()).toEqual(expect.arrayContaining(await world.rowKeys()))
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('keep what others refer to, and delete their uploads, when they are rolled back', async () => {
      const row = await world.saved(Paper, { title: 'x', file: await world.upload('old') })
      const [first, second, third] = [
        await world.upload('1'),
        await world.upload('2'),
        await world.upload('3'),
      ]
      await rolledBack(() =>
        world.dataSource.transaction(async (manager) => {
          await manager.insert(Paper, { file: first })
          await manager.update(Paper, row.id, { file: second })
          await manager.upsert(Paper, { title: 'x', file: third }, ['title'])
          await manager.insert(Paper, { file: row.file })
          throw new Stop()
        }),
      )
      await world.expectTruth()
      expect(await row.file.exists()).toBe(true)
    })

    it('keep an object that was there before them when they are rolled back', async () => {
      const key = `${world.s3.prefix}legacy.txt`
      await world.s3.storage.put(key, Readable.from([Buffer.from('legacy')]))
      const insert = (file: S3File) =>
        rolledBack(() =>
          world.dataSource.transaction(async (manager) => {
            await manager.insert(Paper, { file })
            await manager.save(Object.assign(new Paper(), { file }))
            throw new Stop()
          }),
        )
      await insert(new S3File({ key }))
      await filesSettled()
      expect(await world.s3.keys()).toEqual(['legacy.txt'])
    })
  })
})

it.each(settings)('on $name: a DataSource that is destroyed waits for pending deletions', async (setting) => {
  const world = await LifecycleWorld.start(setting)
  const row = await world.saved(Paper, { file: await world.upload('old') })
  const { file } = row
  world.s3.proxy.delayMs = 50
  await world.manager.remove(row)
  await world.dataSource.destroy()
  expect(await file.exists()).toBe(false)
  await world.s3.stop()
})
