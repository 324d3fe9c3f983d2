import { type EntityManager, TypeORMError } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { Album, Paper, Picture, Witness } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings, type TestedDatabase } from '../support/lifecycle-world.ts'
import { isTypeorm03 } from '../support/typeorm-version.ts'

type Work = (manager: EntityManager) => Promise<unknown>

const paper = (file: S3File) => Object.assign(new Paper(), { file })
const picture = (file: S3File) => Object.assign(new Picture(), { file })

/** What `save()` and `remove()` can do to files: what has to be there before, and what is done in the transaction. */
const operations: Record<string, (world: LifecycleWorld) => Promise<Work>> = {
  insert: async (world) => {
    const row = paper(await world.upload('new'))
    return (manager) => manager.save(row)
  },
  replace: async (world) => {
    const row = await world.saved(Paper, { file: await world.upload('old') })
    const file = await world.upload('new')
    return (manager) => manager.save(Object.assign(row, { file }))
  },
  clear: async (world) => {
    const row = await world.saved(Paper, { file: await world.upload('old') })
    return (manager) => manager.save(Object.assign(row, { file: null }))
  },
  remove: async (world) => {
    const row = await world.saved(Paper, { file: await world.upload('old') })
    return (manager) => manager.remove(row)
  },
  'save of a parent that replaces, adds and drops children': async (world) => {
    const pictures = [picture(await world.upload('1')), picture(await world.upload('2'))]
    const album = await world.saved(Album, { pictures })
    const [replacement, added] = [await world.upload('3'), await world.upload('4')]
    return (manager) => {
      const [first] = album.pictures
      album.pictures = [Object.assign(first as Picture, { file: replacement }), picture(added)]
      return manager.save(album)
    }
  },
  'remove of a parent with its children': async (world) => {
    const pictures = [picture(await world.upload('1')), picture(await world.upload('2'))]
    const album = await world.saved(Album, { pictures })
    return async (manager) => {
      if (isTypeorm03) await manager.remove(album.pictures)
      await manager.remove(album)
    }
  },
  'save of a list': async (world) => {
    const rows = await Promise.all(
      ['1', '2'].map(async (text) => world.saved(Paper, { file: await world.upload(text) })),
    )
    const [replacement, added] = [await world.upload('3'), await world.upload('4')]
    return (manager) => {
      const [first, second] = rows as [Paper, Paper]
      return manager.save([
        Object.assign(first, { file: replacement }),
        Object.assign(second, { file: null }),
        paper(added),
      ])
    }
  },
  'remove of a list': async (world) => {
    const rows = await Promise.all(
      ['1', '2', '3'].map(async (text) => world.saved(Paper, { file: await world.upload(text) })),
    )
    return (manager) => manager.remove(rows)
  },
  'save of a list in chunks': async (world) => {
    const rows = await Promise.all(
      ['1', '2', '3'].map(async (text) => world.saved(Paper, { file: await world.upload(text) })),
    )
    const files = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((text) => world.upload(text)))
    return (manager) =>
      manager.save(
        files.map((file, index) => Object.assign(rows[index] ?? new Paper(), { file })),
        { chunk: 2 },
      )
  },
}

/** How a transaction can end, and whether what `work` did in it then holds; nobody knows of some. */
interface Ending {
  isKept: boolean | undefined
  /** Whether the connection is gone, so that the server may not be done yet when the clean-up looks. */
  isLost?: boolean
  run: (world: LifecycleWorld, work: Work) => Promise<unknown>
  /** Why the database cannot end one so. */
  whyNot?: (database: TestedDatabase) => string | undefined
}

class Stop extends Error {}

const isStop = (error: unknown) => {
  if (!(error instanceof Stop)) throw error
}

const losesNoConnection = ({ name, isServer }: TestedDatabase) =>
  isServer ? undefined : `${name} has no connection to lose`

const endings: Record<string, Ending> = {
  COMMIT: {
    isKept: true,
    run: ({ dataSource }, work) => dataSource.transaction(work),
  },
  ROLLBACK: {
    isKept: false,
    run: ({ dataSource }, work) =>
      dataSource
        .transaction(async (manager) => {
          await work(manager)
          throw new Stop()
        })
        .catch(isStop),
  },
  'a released savepoint and COMMIT': {
    isKept: true,
    run: (world, work) => witnessed(world, (manager) => manager.transaction(work)),
  },
  'a released savepoint and ROLLBACK': {
    isKept: false,
    run: (world, work) =>
      world.dataSource
        .transaction(async (manager) => {
          await manager.transaction(work)
          throw new Stop()
        })
        .catch(isStop),
  },
  'a savepoint rolled back and COMMIT': {
    isKept: false,
    run: (world, work) =>
      witnessed(world, (manager) =>
        manager
          .transaction(async (inner) => {
            await work(inner)
            throw new Stop()
          })
          .catch(isStop),
      ),
  },
  'a refused COMMIT': {
    isKept: false,
    run: async ({ dataSource }, work) => {
      const transaction = dataSource.transaction(async (manager) => {
        await work(manager)
        await manager.query('INSERT INTO deferred_link (id, target) VALUES (1, 2)')
      })
      await expect(transaction).rejects.toThrow(/foreign key/i)
    },
    whyNot: ({ name }) => (name === 'MariaDB' ? `${name} defers no constraint` : undefined),
  },
  'a connection lost before COMMIT': {
    isKept: false,
    isLost: true,
    run: async (world, work) => {
      const transaction = world.dataSource.transaction(async (manager) => {
        await work(manager)
        await world.kill(manager)
        await manager.query('SELECT 1')
      })
      await expect(transaction).rejects.toThrow(TypeORMError)
    },
    whyNot: losesNoConnection,
  },
  'a connection lost at COMMIT': {
    isKept: undefined,
    isLost: true,
    run: async (world, work) => {
      const transaction = world.dataSource.transaction(async (manager) => {
        await work(manager)
        await world.kill(manager)
      })
      await expect(transaction).rejects.toThrow(TypeORMError)
    },
    whyNot: losesNoConnection,
  },
}

/** A transaction in which files of other rows are saved too, before and after. */
async function witnessed(world: LifecycleWorld, work: Work): Promise<void> {
  const [before, after] = [await world.upload('before'), await world.upload('after')]
  await world.dataSource.transaction(async (manager) => {
    const witness = await manager.save(Object.assign(new Witness(), { file: before }))
    await work(manager)
    await manager.save(Object.assign(new Witness(), { file: after }))
    await manager.save(Object.assign(witness, { id: witness.id }))
  })
  expect(await before.exists()).toBe(true)
  expect(await after.exists()).toBe(true)
}

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal, entities: [Paper, Witness, Album, Picture] })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  describe.each(Object.keys(operations))('%s', (operation) => {
    const prepare = operations[operation] as (typeof operations)[string]

    for (const [name, ending] of Object.entries(endings)) {
      const { isKept, isLost = false, run, whyNot } = ending
      const reason = whyNot?.(database)
      const promise =
        isKept === undefined
          ? 'keeps the old and the new objects'
          : 'leaves exactly the objects that rows refer to'
      const title = `and ${name}: ${promise}${reason === undefined ? '' : ` (${reason})`}`

      it.skipIf(reason !== undefined)(title, async () => {
        const work = await prepare(world)
        const before = { rows: await world.rows(Witness), keys: await world.s3.keys() }
        await run(world, work)
        if (isKept === undefined) {
          await filesSettled()
          expect(await world.s3.keys()).toEqual(before.keys)
        }
        if (isLost && hasJournal) await world.workOffJournal()
        if (isKept !== undefined || hasJournal) await world.expectTruth()
        const rows = await world.rows(Witness)
        if (isKept === true) expect(rows).not.toEqual(before.rows)
        else expect(rows).toEqual(before.rows)
      })
    }
  })
})
