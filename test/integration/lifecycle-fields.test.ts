import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import {
  Attachment,
  Django,
  Embedding,
  entities,
  type Filed,
  Folder,
  InColumns,
  InJson,
  InKey,
  InText,
  Leaf,
  Medium,
  Photo,
  type Schematic,
  SchematicSchema,
  Unselected,
  UnselectedColumns,
} from '../support/entities.ts'
import { Numbered, Page, Stack } from '../support/lifecycle-entities.ts'
import { LifecycleWorld, settings } from '../support/lifecycle-world.ts'
import { isTypeorm03 } from '../support/typeorm-version.ts'

/** What can hold a file: how a row of it is made, and how its file is given another value. */
interface Holder {
  target: (new () => object) | typeof SchematicSchema
  make: (file: S3File) => object
  change: (row: never, file: S3File | null) => void
}

function holder<Row extends object>(
  Class: new () => Row,
  property: keyof Row,
  others: Partial<Row> = {},
): Holder {
  const change = (row: Row, file: S3File | null) => Object.assign(row, { [property]: file })
  return { target: Class, make: (file) => change(Object.assign(new Class(), others), file), change }
}

const filed = (Class: new () => Filed) => holder(Class, 'file')

function embedded(property: 'json' | 'columns'): Holder {
  const change = (row: Embedding, file: S3File | null) => Object.assign(row.attachment, { [property]: file })
  const make = (file: S3File) => {
    const row = Object.assign(new Embedding(), { attachment: new Attachment() })
    change(row, file)
    return row
  }
  return { target: Embedding, make, change }
}

function schematic(property: 'file' | 'path'): Holder {
  return {
    target: SchematicSchema,
    make: (file) => ({ [property]: file }),
    change: (row: Schematic, file) => Object.assign(row, { [property]: file }),
  }
}

const holders: Record<string, Holder> = {
  'a JSON column': filed(InJson),
  'a text column': filed(InText),
  'columns of their own': filed(InColumns),
  'a column with the key': filed(InKey),
  "a Django column, where '' is no file": holder(Django, 'upload'),
  'a JSON column that is not selected': filed(Unselected),
  'columns that are not selected': filed(UnselectedColumns),
  'a JSON column of an embedded entity': embedded('json'),
  'columns of an embedded entity': embedded('columns'),
  'a table of several classes': holder(Medium, 'file'),
  'an inherited column of a child': holder(Photo, 'file'),
  'a column of a child alone': holder(Photo, 'thumbnail'),
  'an EntitySchema': schematic('file'),
  'a key of an EntitySchema': schematic('path'),
  'a row with a bigint for a key': holder(Numbered, 'file', { id: 2n ** 60n }),
  'a row with two keys': holder(Page, 'file', { book: 'a', number: 1 }),
}

describe.each(settings)('on $name', ({ database, hasJournal }) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({
      database,
      hasJournal,
      entities: [...entities, Stack, Numbered, Page],
    })
  })
  afterAll(() => world.stop())
  afterEach(() => world.clear())

  describe.each(Object.keys(holders))('%s', (name) => {
    const { target, make, change } = holders[name] as Holder
    const save = (row: object) => world.dataSource.getRepository(target).save(row)

    it('keeps the file that a row has, and deletes those it has let go', async () => {
      const row = make(await world.upload('1'))
      await save(row)
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
      const replacement = await world.upload('2')
      change(row as never, replacement)
      await save(row)
      await world.expectTruth()
      expect(await world.rowKeys()).toEqual([replacement.key.slice(world.s3.prefix.length)])
      change(row as never, null)
      await save(row)
      await world.expectTruth()
      expect(await world.rowKeys()).toEqual([])
      change(row as never, await world.upload('3'))
      await save(row)
      await world.dataSource.getRepository(target).remove(row)
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })

    it('leaves the file alone when the row is saved without it', async () => {
      const row = make(await world.upload('1'))
      await save(row)
      const repository = world.dataSource.getRepository(target)
      const found = await repository.find()
      await repository.save(found)
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
      await repository.remove(await repository.find())
      await world.expectTruth()
      expect(await world.s3.keys()).toEqual([])
    })
  })

  it('leaves both objects alone when a statement may not change the column', async () => {
    const [old, file] = [await world.upload('old'), await world.upload('new')]
    const page = await world.saved(Page, { book: 'a', number: 1, original: old })
    await world.manager.save(Object.assign(page, { original: file }))
    expect(await old.exists()).toBe(true)
    await file.discard()
    await world.expectTruth()
  })

  it('deletes the files of children that go with a parent', async () => {
    const leaves = await Promise.all(
      ['1', '2'].map(async (text) => Object.assign(new Leaf(), { file: await world.upload(text) })),
    )
    const folder = await world.saved(Folder, { id: 1, leaves })
    await world.expectTruth()
    if (isTypeorm03) await world.manager.remove(folder.leaves)
    await world.manager.remove(folder)
    await world.expectTruth()
    expect(await world.s3.keys()).toEqual([])
  })

  describe('a list of files', () => {
    const stacked = async (...texts: string[]) =>
      world.saved(Stack, { files: await Promise.all(texts.map((text) => world.upload(text))) })
    const names = async ({ id }: Stack) =>
      (await world.manager.findOneByOrFail(Stack, { id })).files?.map(({ name }) => name) ?? null
    const savedAs = async (row: Stack, expected: string[] | null) => {
      await world.manager.save(row)
      await world.expectTruth()
      expect(await names(row)).toEqual(expected)
    }

    it('grows and shrinks', async () => {
      const row = await stacked('1', '2')
      row.files.push(await world.upload('3'))
      await savedAs(row, ['1.txt', '2.txt', '3.txt'])
      row.files.splice(0, 2, await world.upload('4'))
      await savedAs(row, ['4.txt', '3.txt'])
      row.files = []
      await savedAs(row, [])
    })

    it('keeps its order, and its objects in another one', async () => {
      const row = await stacked('1', '2', '3')
      row.files.reverse()
      await savedAs(row, ['3.txt', '2.txt', '1.txt'])
    })

    it('can be null', async () => {
      const row: Stack = await stacked('1', '2')
      row.files = null
      await savedAs(row, null)
      row.files = [await world.upload('3')]
      await savedAs(row, ['3.txt'])
      await world.manager.remove(row)
      await world.expectTruth()
    })

    it('keeps an object until the last of its places is gone', async () => {
      const row = await stacked('1', '2')
      row.files.push(row.files[0] as S3File)
      await savedAs(row, ['1.txt', '2.txt', '1.txt'])
      row.files.shift()
      await savedAs(row, ['2.txt', '1.txt'])
      row.files.pop()
      await savedAs(row, ['2.txt'])
    })

    it('deletes what was added when it is rolled back', async () => {
      const row = await stacked('1')
      row.files.push(await world.upload('2'))
      await expect(
        world.dataSource.transaction(async (manager) => {
          await manager.save(row)
          throw new Error('no')
        }),
      ).rejects.toThrow('no')
      await world.expectTruth()
      expect(await names(row)).toEqual(['1.txt'])
    })

    it('keeps elements that cannot be read, and deletes the others', async () => {
      const { id, files } = await stacked('1', '2')
      const broken = { name: 'no key' }
      const [column, table] = ['files', 'stack'].map((name) => world.dataSource.driver.escape(name))
      const parameter = world.dataSource.driver.createParameter('list', 0)
      await world.dataSource.query(`UPDATE ${table} SET ${column} = ${parameter}`, [
        JSON.stringify([broken, ...files.map((file) => file.toRecord())]),
      ])
      const row = await world.manager.findOneByOrFail(Stack, { id })
      row.files?.pop()
      await world.manager.save(row)
      await world.expectTruth()
      expect(await world.rowKeys()).toHaveLength(1)
      expect((await world.rows()).join()).toContain('no key')
      await world.manager.remove(row)
      await world.expectTruth()
    })
  })

  it('keeps an object under a key of quotes, wildcards and other letters', async () => {
    const key = () => `o'brien/50%_ "off"/Ünï/😀.txt`
    const file = await world.upload('odd', { key })
    const [first, second] = [new InColumns(), new InJson()].map((row) => Object.assign(row, { file }))
    await world.manager.save([first, second])
    await world.manager.remove(first)
    await world.expectTruthOf([file])
    await world.manager.remove(await world.manager.save(Object.assign(new InKey(), { file })))
    await world.expectTruthOf([file])
    await world.manager.remove(second)
    await world.expectTruthOf([])
  })

  it('tells keys apart by case, also where the database does not', async () => {
    const [upper, lower] = [
      await world.upload('1', { key: () => 'Same/Name.txt' }),
      await world.upload('2', { key: () => 'same/name.txt' }),
    ]
    const rows = [upper, lower].map((file) => Object.assign(new InKey(), { file }))
    await world.manager.save(rows)
    await world.manager.remove(rows[0])
    await world.expectTruth()
    expect(await world.rowKeys()).toEqual(['same/name.txt'])
  })
})
