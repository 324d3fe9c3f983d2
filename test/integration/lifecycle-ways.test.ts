import { DataSource, type EntitySubscriberInterface, type EntityTarget } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { LifecycleWorld, settings } from '../support/lifecycle-world.ts'
import { dataSourceOptions } from '../support/servers.ts'
import {
  BookWay,
  BytesWay,
  ChildWay,
  ColumnsWay,
  DayWay,
  Isbn,
  JsonWay,
  KeyWay,
  ListeningWay,
  ListWay,
  ParentWay,
  TextWay,
  UnselectedColumnsWay,
  UnselectedWay,
  VersionedWay,
  type Way,
  wayEntities,
} from '../support/way-entities.ts'

class Stop extends Error {}

const plainWays = [JsonWay, TextWay, ColumnsWay, KeyWay, VersionedWay] as const
const allWays = [...plainWays, UnselectedWay, UnselectedColumnsWay, ChildWay] as const
type AnyWay = new () => Way | ChildWay

/** All ways to hold a file that is the same as this one. */
const copies: [string, (file: S3File, world: LifecycleWorld, Class: AnyWay) => S3File][] = [
  ['the file itself', (file) => file],
  ['a file made of its record', (file) => new S3File(file.toRecord())],
  [
    'the file of an entity that create() has made',
    (file, world, Class) => world.manager.create(Class as EntityTarget<Way>, { file }).file as S3File,
  ],
]

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal, entities: wayEntities })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  const saved = async <Row extends Way | ChildWay>(Class: new () => Row, text = 'a'): Promise<Row> =>
    world.manager.save(Object.assign(new Class(), { title: text, file: await world.upload(text) }))

  const fileOf = async (Class: AnyWay, id: number): Promise<S3File | null> => {
    const row = await world.manager.findOneBy(Class as EntityTarget<Way>, { id })
    return row?.file ?? null
  }

  describe.each(allWays.map((Class) => [Class.name, Class] as const))('a row of %s', (_, Class: AnyWay) => {
    const target = Class as EntityTarget<Way>

    it('keeps a file that was not loaded, however often what was loaded is saved', async () => {
      const { id } = await saved(Class)
      const row = await world.manager
        .createQueryBuilder(target, 'row')
        .select(['row.id', 'row.title'])
        .where({ id })
        .getOneOrFail()
      for (const title of ['b', 'c', 'd']) await world.manager.save(Object.assign(row, { title }))
      expect(row.file).toBeUndefined()
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('keeps a file that a plain object does not name, and that what save() returned does not either', async () => {
      const { id } = await saved(Class)
      const first = await world.manager.save(target, { id, title: 'b' })
      const second = await world.manager.save(target, Object.assign(first, { title: 'c' }))
      await world.manager.save(target, { ...second, title: 'd' })
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('keeps a file that came after a plain object without one was saved, when its title is saved again', async () => {
      const { id } = await world.manager.save(Object.assign(new Class(), { title: 'a', file: null }))
      const plain = await world.manager.save(target, { id, title: 'b', file: null })
      await world.manager.save(target, { id, file: await world.upload('new') })
      await world.manager.save(target, Object.assign(plain, { title: 'c' }))
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
    })

    it('can be cleared by null when the file was not loaded', async () => {
      const { id } = await saved(Class)
      await world.manager.save(target, { id, title: 'b' })
      await world.manager.save(target, { id, file: null })
      await world.expectTruth()
      expect(await world.rowKeys()).toEqual([])
    })

    it('is removed with its file through its own class', async () => {
      await world.manager.remove(await saved(Class))
      await world.expectTruth()
      expect(await world.rowKeys()).toEqual([])
    })

    it.each(['create', 'merge', 'preload'] as const)(
      'leaves no object when it was made by %s() and its transaction is rolled back',
      async (way) => {
        const { id } = await world.manager.save(Object.assign(new Class(), { title: 'x' }))
        const file = await world.upload('b')
        const made = {
          create: async () => world.manager.create(target, { file }),
          merge: async () => world.manager.merge(target, world.manager.create(target), { file }),
          preload: async () => world.manager.preload(target, { id, file }),
        }
        const row = (await made[way]()) as Way
        const failing = world.dataSource.transaction(async (manager) => {
          await manager.save(row)
          throw new Stop()
        })
        await expect(failing).rejects.toThrow(Stop)
        await world.expectTruth()
        expect(await world.s3.keys()).toEqual([])
      },
    )

    describe.each(copies)('given %s', (__, copy) => {
      it('refuses an upload that was discarded', async () => {
        const file = await world.upload('b')
        const early = copy(file, world, Class)
        await file.discard()
        for (const given of [early, copy(file, world, Class)]) {
          const row = Object.assign(new Class(), { file: given })
          await expect(world.manager.save(row)).rejects.toMatchObject({ code: 'file-gone', statusCode: 409 })
          await expect(world.manager.insert(target, { file: given })).rejects.toMatchObject({
            code: 'file-gone',
          })
        }
        await world.expectTruth()
        expect(await world.rows()).toEqual([])
      })

      it('refuses to discard what a row refers to', async () => {
        const { file } = await saved(Class)
        const given = copy(file as S3File, world, Class)
        await expect(given.discard()).rejects.toMatchObject({ code: 'file-saved', statusCode: 409 })
        await world.expectTruth()
        expect(await world.s3.keys()).toHaveLength(1)
      })

      it('deletes the object when its transaction is rolled back', async () => {
        const file = await world.upload('b')
        const row = Object.assign(new Class(), { file: copy(file, world, Class) })
        const failing = world.dataSource.transaction(async (manager) => {
          await manager.save(row)
          throw new Stop()
        })
        await expect(failing).rejects.toThrow(Stop)
        await world.expectTruth()
        expect(await world.s3.keys()).toEqual([])
      })
    })

    it.each([
      ['save()', () => saved(Class)],
      [
        'upsert(), which leaves the entry of the upload',
        async () => {
          const file = await world.upload('a')
          await world.manager.upsert(target, { title: 'a', file }, ['title'])
          return Object.assign(await world.manager.findOneByOrFail(target, { title: 'a' }), { file })
        },
      ],
    ] as const)(
      'refuses an object that is deleted, in every statement that takes a value: %s',
      async (_, begin) => {
        const row = await begin()
        const old = new S3File((row.file as S3File).toRecord())
        await world.manager.save(Object.assign(row, { file: null }))
        await filesSettled()
        const { id } = row
        const statements = [
          () => world.manager.insert(target, { file: old }),
          () => world.manager.update(target, { id }, { file: old }),
          () => world.manager.upsert(target, { title: 'a', file: old }, ['title']),
          () => world.manager.createQueryBuilder().update(target).set({ file: old }).where({ id }).execute(),
          () =>
            world.manager
              .createQueryBuilder()
              .insert()
              .into(target)
              .values({ file: old })
              .callListeners(false)
              .execute(),
          () => world.manager.save(target, { id, file: old }, { listeners: false }),
          () => world.manager.save(target, { id, file: old }, { transaction: false }),
        ]
        for (const statement of statements) {
          await expect(statement()).rejects.toMatchObject({ code: 'file-gone' })
        }
        if (hasJournal) await world.workOffJournal()
        await world.expectTruth()
        expect(await world.rowKeys()).toEqual([])
      },
    )

    it.each(['COMMIT', 'ROLLBACK'] as const)(
      'deletes the upload of an update() that found no row with a ROLLBACK only: %s',
      async (end) => {
        const file = await world.upload('a')
        const work = world.dataSource.transaction(async (manager) => {
          await manager.update(target, { id: 12_345 }, { file })
          if (end === 'ROLLBACK') throw new Stop()
        })
        if (end === 'ROLLBACK') await expect(work).rejects.toThrow(Stop)
        else await work
        await filesSettled()
        expect(await world.s3.keys()).toHaveLength(end === 'ROLLBACK' ? 0 : 1)
        if (end === 'COMMIT') await file.discard()
        await world.expectTruth()
      },
    )

    it('loses and keeps objects as always when listeners are switched off', async () => {
      const row = await saved(Class)
      await world.manager.save(Object.assign(row, { file: await world.upload('b') }), { listeners: false })
      await world.expectTruth()
      expect(await world.s3.keys()).toHaveLength(1)
      await world.manager.remove(row, { listeners: false })
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })

    it.each(['save', 'insert', 'update', 'upsert'] as const)(
      'refuses a Promise in place of a file: %s',
      async (way) => {
        const { id } = await saved(Class)
        const before = await world.rows()
        const file = world.upload('b')
        const values = Object.assign(new Class(), { title: 'z', file }) as never
        const ways = {
          save: () => world.manager.save(values),
          insert: () => world.manager.insert(Class, values),
          update: () => world.manager.update(Class, { id }, { title: 'z', file } as never),
          upsert: () => world.manager.upsert(Class, { id, title: 'z', file } as never, ['id']),
        }
        await expect(ways[way]()).rejects.toMatchObject({
          code: 'invalid-value',
          message: expect.stringContaining('a Promise: await the upload, and assign what it resolves to'),
        })
        expect(await world.rows()).toEqual(before)
        await (await file).discard()
        await world.expectTruth()
      },
    )

    it('refuses a file that another DataSource has loaded', async () => {
      const row = await saved(Class)
      const stranger = new DataSource({
        ...dataSourceOptions('sqljs://memory'),
        entities: wayEntities,
        subscribers: [S3FileSubscriber],
        synchronize: true,
      } as never)
      await stranger.initialize()
      try {
        const save = stranger.manager.save(Object.assign(new Class(), { title: 'x', file: row.file }))
        await expect(save).rejects.toMatchObject({ code: 'invalid-value' })
        expect(await stranger.manager.count(Class)).toBe(0)
        // A row of the same key is another row.
        const same = await stranger.manager.save(Object.assign(new Class(), { id: row.id, title: 'y' }))
        for (const given of [{ ...same, file: row.file }, { id: row.id, file: row.file }, row]) {
          await expect(stranger.manager.save(target, given as Way)).rejects.toMatchObject({
            code: 'invalid-value',
          })
        }
      } finally {
        await stranger.destroy()
      }
      await world.expectTruth()
    })
  })

  describe.each(plainWays.map((Class) => [Class.name, Class] as const))(
    'a stale entity of %s',
    (_, Class) => {
      const loaded = (id: number) => world.manager.findOneByOrFail(Class as EntityTarget<Way>, { id })

      it.each([
        ['itself', (row: Way) => row],
        ['spread into another', (row: Way) => Object.assign(new Class(), { ...row })],
        ['copied by create()', (row: Way) => world.manager.create(Class as EntityTarget<Way>, row)],
      ])('keeps the file that replaced its own when its title is saved: %s', async (__, copy) => {
        const { id } = await saved(Class)
        const [mine, theirs] = [await loaded(id), await loaded(id)]
        await world.manager.save(Object.assign(theirs, { file: await world.upload('b') }))
        await filesSettled()
        await world.manager.save(Object.assign(copy(mine), { title: 'mine' }))
        await world.expectTruth()
        expect((await fileOf(Class, id))?.equals(theirs.file)).toBe(true)
        expect(await loaded(id)).toMatchObject({ title: 'mine' })
      })

      it('keeps the file that came where it had none, when its title is saved', async () => {
        const { id } = await world.manager.save(Object.assign(new Class(), { file: null }))
        const [mine, theirs] = [await loaded(id), await loaded(id)]
        await world.manager.save(Object.assign(theirs, { file: await world.upload('b') }))
        for (const title of ['c', 'd']) await world.manager.save(Object.assign(mine, { title }))
        await world.expectTruth()
        expect((await fileOf(Class, id))?.equals(theirs.file)).toBe(true)
      })

      it.each(['another file', 'null'])(
        'is refused when it would replace by %s a file it has never seen',
        async (what) => {
          const { id } = await saved(Class)
          const [mine, theirs] = [await loaded(id), await loaded(id)]
          await world.manager.save(Object.assign(theirs, { file: await world.upload('b') }))
          const file = what === 'null' ? null : await world.upload('c')
          await expect(world.manager.save(Object.assign(mine, { file }))).rejects.toMatchObject({
            code: 'file-changed',
            statusCode: 409,
          })
          await world.expectTruth()
          expect((await fileOf(Class, id))?.equals(theirs.file)).toBe(true)
          // As its message says.
          const again = what === 'null' ? null : await world.upload('c')
          await world.manager.save(Class as EntityTarget<Way>, { id, file: again })
          await world.expectTruth()
        },
      )

      it.each([false, true])(
        'saves what it is given while a save is on its way (the row is new: %s)',
        async (isNew) => {
          const row = isNew
            ? Object.assign(new Class(), { title: 'x' })
            : await loaded((await saved(Class)).id)
          for (const text of ['b', 'c', 'd']) {
            const first = await world.upload(text)
            row.file = first
            const saving = world.manager.save(row)
            await new Promise(setImmediate)
            const next = await world.upload(`${text}2`)
            row.file = next
            await saving
            await world.manager.save(row)
            await filesSettled()
            await first.discard() // TypeORM may not have seen it at all.
            await world.expectTruth()
            expect((await fileOf(Class, row.id))?.equals(next)).toBe(true)
          }
        },
      )

      it('leaves exactly the last file when one save writes the row twice', async () => {
        const { id } = await saved(Class)
        const files = [await world.upload('b'), await world.upload('c')]
        await world.manager.save(Class as EntityTarget<Way>, files.map((file) => ({ id, file })) as never)
        await world.expectTruth()
        expect(await world.rowKeys()).toHaveLength(1)
      })

      it('takes the file along when it is saved as another row', async () => {
        const [one, two] = [await saved(Class, 'x'), await saved(Class, 'y')]
        const row = await loaded(one.id)
        await world.manager.remove(await loaded(one.id))
        const file = await world.upload('z')
        await world.manager.save(Object.assign(row, { id: two.id, title: 'z', file }))
        await world.expectTruth()
        expect((await fileOf(Class, two.id))?.equals(file)).toBe(true)
      })

      it('saves again what was rolled back', async () => {
        const row = await saved(Class)
        const Keeping = S3FileSubscriber.with({ onRollback: 'keep' })
        const file = await world.upload('b')
        await world.withSubscribers([new Keeping()], async () => {
          const failing = world.dataSource.transaction(async (manager) => {
            await manager.save(Object.assign(row, { file }))
            throw new Stop()
          })
          await expect(failing).rejects.toThrow(Stop)
          await world.manager.save(row)
        })
        await world.expectTruth()
        expect((await fileOf(Class, row.id))?.equals(file)).toBe(true)
      })
    },
  )

  describe('a list of files', () => {
    const loaded = (id: number) => world.manager.findOneByOrFail(ListWay, { id })
    const names = async (id: number) => (await loaded(id)).files?.map(({ name }) => name)

    it('keeps what two stale entities have added and removed', async () => {
      const files = [await world.upload('a'), await world.upload('b')]
      const { id } = await world.saved(ListWay, { files })
      const [mine, theirs] = [await loaded(id), await loaded(id)]
      theirs.files?.push(await world.upload('c'))
      await world.manager.save(theirs)
      mine.files?.splice(0, 1)
      mine.files?.push(await world.upload('d'))
      await world.manager.save(mine)
      await world.expectTruth()
      expect(await names(id)).toEqual(['b.txt', 'c.txt', 'd.txt'])
      expect(mine.files?.map(({ name }) => name)).toEqual(['b.txt', 'c.txt', 'd.txt'])
    })

    it('keeps what was added meanwhile when a title is saved', async () => {
      const { id } = await world.saved(ListWay, { files: null })
      const [mine, theirs] = [await loaded(id), await loaded(id)]
      await world.manager.save(Object.assign(theirs, { files: [await world.upload('a')] }))
      await world.manager.save(Object.assign(mine, { title: 'x' }))
      await world.manager.save(Object.assign(mine, { title: 'y' }))
      await world.expectTruth()
      expect(await names(id)).toEqual(['a.txt'])
    })

    it('keeps what saves have added that run side by side, also in one transaction', async () => {
      const { id } = await world.saved(ListWay, { files: [] })
      const rows = [await loaded(id), await loaded(id), await loaded(id)]
      for (const [index, row] of rows.entries()) row.files?.push(await world.upload(`${index}`))
      await Promise.all(rows.slice(0, 2).map((row) => world.manager.save(row)))
      rows[0]?.files?.push(await world.upload('3'))
      await world.dataSource.transaction(async (manager) => {
        await Promise.all([rows[0], rows[2]].map((row) => manager.save(row as ListWay)))
      })
      await world.expectTruth()
      expect((await names(id))?.sort()).toEqual(['0.txt', '1.txt', '2.txt', '3.txt'])
    })

    it('is changed step by step within a transaction', async () => {
      const [a, b, c] = [await world.upload('a'), await world.upload('b'), await world.upload('c')]
      const { id } = await world.saved(ListWay, { files: [a] })
      await world.dataSource.transaction(async (manager) => {
        const row = await manager.findOneByOrFail(ListWay, { id })
        row.files?.push(b)
        await manager.save(row)
        row.files?.shift()
        await manager.save(row)
        row.files?.unshift(c)
        await manager.save(row)
      })
      await world.expectTruth()
      expect(await names(id)).toEqual(['c.txt', 'b.txt'])
    })

    it('gets back nothing of what became NULL after TypeORM had read the row', async () => {
      const { id } = await world.saved(ListWay, { files: [await world.upload('a')] })
      const row = await loaded(id)
      row.files?.push(await world.upload('b'))
      const clearing: EntitySubscriberInterface = {
        beforeUpdate: async ({ entity, manager }) => {
          if (entity === row) await manager.save(ListWay, { id, files: null })
        },
      }
      await world.withSubscribers([...world.dataSource.subscribers, clearing], () => world.manager.save(row))
      await world.expectTruth()
      expect(await names(id)).toEqual(['b.txt'])
    })
  })

  it('deletes the files of a child row that is removed through its parent class', async () => {
    const { id } = await saved(ChildWay)
    await world.manager.save(ParentWay, { id, title: 'b' })
    expect(await world.rowKeys()).toHaveLength(1)
    await world.manager.remove(await world.manager.findOneByOrFail(ParentWay, { id }))
    const other = await saved(ChildWay)
    await world.manager.remove(Object.assign(new ParentWay(), { id: other.id }))
    await world.expectTruth()
    expect(await world.s3.keys()).toEqual([])
  })

  it.each([
    ['a value object', BookWay, [new Isbn('1'), new Isbn('2')]],
    ['a Date', DayWay, [new Date(0), new Date(1)]],
    ['bytes', BytesWay, [Buffer.from('a'), Buffer.from('b')]],
  ] as const)('follows rows whose primary key is %s', async (_, Class, ids) => {
    const rows: BookWay[] = []
    for (const id of ids) {
      rows.push(
        await world.manager.save(
          Object.assign(new Class(), { id, file: await world.upload('a') }) as BookWay,
        ),
      )
    }
    for (const row of rows) await world.manager.save(Object.assign(row, { file: await world.upload('b') }))
    await world.expectTruth()
    expect(await world.rowKeys()).toHaveLength(2)
    const [first, second] = await world.manager.find(Class)
    await world.manager.remove([first as object])
    await world.expectTruth()
    expect(await (second as BookWay).file?.exists()).toBe(true)
    await world.manager.remove([second as object])
    await world.expectTruth()
    expect(await world.s3.keys()).toEqual([])
  })

  describe.each(['a listener', 'a subscriber'])('a file that %s sets', (who) => {
    const setting: EntitySubscriberInterface = {
      beforeInsert: async ({ entity }) => {
        await new Promise(setImmediate)
        if (entity?.title?.startsWith('late')) entity.file = late
      },
    }
    let late: S3File | null = null

    const write = async (title: string): Promise<S3File> => {
      const file = await world.upload('late')
      late = file
      const row =
        who === 'a listener'
          ? Object.assign(new ListeningWay(), { title, next: file })
          : Object.assign(new JsonWay(), { title })
      await world.withSubscribers([...world.dataSource.subscribers, setting], () => world.manager.save(row))
      return file
    }

    it('is followed to its row', async () => {
      const file = await write('late')
      await world.expectTruth()
      expect(await file.exists()).toBe(true)
    })

    it('is deleted when the statement fails', async () => {
      await write('late')
      await expect(write('late')).rejects.toThrow()
      await world.expectTruth()
      expect(await world.s3.keys()).toHaveLength(1)
    })
  })

  it('discards a file although another DataSource could not be initialized', async () => {
    const refused = new DataSource({
      ...dataSourceOptions('sqljs://memory'),
      entities: wayEntities,
      subscribers: [S3FileSubscriber.with({ deleteAfterSeconds: 60 })],
    } as never)
    await expect(refused.initialize()).rejects.toMatchObject({ code: 'invalid-option' })
    await (await world.upload('a')).discard()
    await world.expectTruth()
    expect(await world.s3.keys()).toEqual([])
  })

  it('leaves a file that update() has given to no row to its caller', async () => {
    const file = await world.upload('a')
    expect((await world.manager.update(JsonWay, { id: 0 }, { file })).affected).toBe(0)
    await filesSettled()
    await world.manager.insert(JsonWay, { file })
    await world.expectTruth()
    expect(await file.exists()).toBe(true)
  })

  it('deletes the file of an insert() that fails', async () => {
    await saved(JsonWay)
    await expect(
      world.manager.insert(JsonWay, { title: 'a', file: await world.upload('b') }),
    ).rejects.toThrow()
    await world.expectTruth()
    expect(await world.s3.keys()).toHaveLength(1)
  })

  it('commits no row whose file is discarded in the same transaction', async () => {
    const file = await world.upload('a')
    const committing = world.dataSource.transaction(async (manager) => {
      await manager.save(Object.assign(new JsonWay(), { file }))
      await file.discard()
    })
    await expect(committing).rejects.toMatchObject({ code: 'file-gone' })
    await world.expectTruth()
    expect(await world.s3.keys()).toEqual([])
  })

  it.runIf(database.name === 'MariaDB')(
    'drops the uploads of a transaction that a deadlock has ended',
    async () => {
      const [one, two] = [await saved(JsonWay, '1'), await saved(JsonWay, '2')]
      const survivor = await world.upload('survivor')
      const uploads = [await world.upload('x'), await world.upload('y')]
      let inside = 0
      const meet = async (first: JsonWay, second: JsonWay, file: S3File) =>
        world.dataSource.transaction(async (manager) => {
          await manager.update(JsonWay, first.id, { title: `t${first.id}` })
          await manager.save(Object.assign(new JsonWay(), { file }))
          inside++
          while (inside < 2) await new Promise(setImmediate)
          const error = await manager
            .update(JsonWay, second.id, { title: `s${second.id}` })
            .catch((reason) => reason)
          if (error?.errno !== 1213) return
          await manager.save(Object.assign(new JsonWay(), { file: survivor }))
        })
      await Promise.all([meet(one, two, uploads[0] as S3File), meet(two, one, uploads[1] as S3File)])
      await world.expectTruth()
      expect(await survivor.exists()).toBe(true)
      expect(await world.rowKeys()).toHaveLength(4)
    },
  )

  it.runIf(database.isServer && hasJournal)(
    'keeps an object that comes back while a janitor runs between its look and its write',
    async () => {
      const row = await saved(JsonWay)
      const old = row.file as S3File
      const Later = S3FileSubscriber.with({ deleteAfterSeconds: 60 })
      await world.withSubscribers([new Later()], () => world.manager.save(Object.assign(row, { file: null })))
      await world.age(86_400)
      const between: EntitySubscriberInterface = {
        beforeQuery: async ({ query, queryRunner }) => {
          if (!/^DELETE FROM .file_journal/.test(query) || !queryRunner.isTransactionActive) return
          between.beforeQuery = undefined as never
          await new FileJanitor(world.dataSource).runOnce()
        },
      }
      await world.withSubscribers([...world.dataSource.subscribers, between], () =>
        world.manager.save(Object.assign(new KeyWay(), { file: old })),
      )
      await world.expectTruth()
      expect(await old.exists()).toBe(true)
    },
  )

  it.runIf(database.isServer)(
    'never commits a row whose file was released since its entity was loaded in the transaction',
    async () => {
      const { id } = await saved(JsonWay)
      const copying = world.dataSource.transaction(async (manager) => {
        const source = await manager.findOneByOrFail(JsonWay, { id })
        await world.manager.save(JsonWay, { id, file: null })
        await filesSettled()
        await manager.save(Object.assign(new KeyWay(), { file: source.file }))
      })
      await expect(copying).rejects.toMatchObject({ code: 'file-gone' })
      await world.expectTruth()
      expect(await world.rowKeys()).toEqual([])
    },
  )
})
