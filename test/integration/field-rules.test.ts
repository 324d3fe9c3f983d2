import { Entity, type EntityTarget, type ObjectLiteral, PrimaryColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { LifecycleWorld, settings } from '../support/lifecycle-world.ts'

const rules = {
  accept: ['text/plain', '.csv'],
  maxSizeBytes: 10,
  minSizeBytes: 2,
  storage: 'default',
  nullable: true,
} as const

@Entity()
class Ruled {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField(rules) file!: S3File | null
}

@Entity()
class RuledColumns {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ ...rules, layout: 'columns' }) file!: S3File | null
}

@Entity()
class RuledList {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ ...rules, multiple: true }) files!: S3File[] | null
}

/** The same table as `Ruled`, from before the rules. */
@Entity('ruled')
class Unruled {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ nullable: true }) file!: S3File | null
}

/** The same table as `RuledList`, from before the rules. */
@Entity('ruled_list')
class UnruledList {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ nullable: true, multiple: true }) files!: S3File[] | null
}

@Entity()
class AnyStorage {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField() file!: S3File
}

@Entity()
class KeyOnly {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ layout: 'key' }) file!: S3File
}

@Entity()
class Unchecked {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ ...rules, checkOnSave: false }) file!: S3File | null
}

@Entity()
class UncheckedKey {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ ...rules, layout: 'key', checkOnSave: false }) file!: S3File | null
}

@Entity()
class Drawing {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ accept: ['application/acad'], nullable: true }) file!: S3File | null
}

const checked = [Ruled, RuledColumns, RuledList, AnyStorage, KeyOnly, Unchecked, UncheckedKey, Drawing]
const fromBefore = [Unruled, UnruledList]

describe.each(settings)('the rules of a field on $name', (setting) => {
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ ...setting, entities: [...checked, ...fromBefore] })
    configureStorages({ default: world.s3.storage, archive: new MemoryStorage() })
  })
  afterEach(() => world.clear())
  afterAll(() => world.stop())

  const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
  const wrongs: [string, string, () => Promise<S3File>][] = [
    ['accept', 'image/png', () => uploadFromStream(png.subarray(0, 9), { name: 'a.png' })],
    ['maxSizeBytes', '11', () => world.upload('a'.repeat(11))],
    ['minSizeBytes', '1', () => world.upload('a')],
    ['storage', 'archive', () => world.upload('abc', { storage: 'archive' })],
  ]
  const holding = (Class: EntityTarget<ObjectLiteral>, file: S3File) =>
    Class === RuledList ? { id: 1, files: [file] } : { id: 1, file }

  describe.each(wrongs)('for %s refuse a file that says %s, and leave nothing,', (rule, value, wrong) => {
    const refusal = (Class: { name: string }) => ({
      code: 'invalid-value',
      message: expect.stringMatching(
        new RegExp(`${Class.name}\\.files? has ${rule}: .*${value.replace('/', '.')}`),
      ),
      context: { rule },
    })

    it.each([Ruled, RuledColumns, RuledList])('in save() of $name', async (Class) => {
      const row = world.manager.create(Class as typeof Ruled, holding(Class, await wrong()) as Ruled)
      await expect(world.manager.save(row)).rejects.toMatchObject(refusal(Class))
      expect(await world.manager.count(Class)).toBe(0)
    })

    it.each([Ruled, RuledColumns, RuledList])(
      'in insert(), update() and upsert() of $name',
      async (Class) => {
        const target = Class as typeof Ruled
        const values = holding(Class, await wrong()) as Ruled
        await expect(world.manager.insert(target, values)).rejects.toMatchObject(refusal(Class))
        await world.manager.insert(target, { id: 1 })
        const { id: _, ...changed } = values
        await expect(world.manager.update(target, 1, changed as never)).rejects.toMatchObject(refusal(Class))
        await expect(world.manager.upsert(target, values, ['id'])).rejects.toMatchObject(refusal(Class))
        const [row] = await world.manager.find(target)
        expect([row?.file, (row as { files?: unknown }).files]).toContain(null)
      },
    )
  })

  it('let in what was uploaded into the field, also a type that no bytes tell', async () => {
    const drawing = await uploadFromStream(Buffer.from([0, 1, 2, 3, 0xff]), {
      into: [Drawing, 'file'],
      name: 'a.dwg',
      contentType: 'application/acad',
    })
    await world.saved(Drawing, { id: 1, file: drawing })
    const csv = await uploadFromStream(Buffer.from('a;b'), { into: [Ruled, 'file'], name: 'a.csv' })
    await world.saved(Ruled, { id: 1, file: csv })
  })

  it('let in a file that does not know its size and type', async () => {
    const { key } = await world.upload('a')
    await world.saved(Ruled, { id: 1, file: new S3File({ key }) })
  })

  it('do not look at a file that the row has already, which may be older than the rules', async () => {
    const [a, b] = [await world.upload('a'), await world.upload('b')]
    await world.saved(Unruled, { id: 1, file: a })
    await world.saved(UnruledList, { id: 1, files: [b] })
    const row = await world.manager.findOneByOrFail(Ruled, { id: 1 })
    await world.manager.save(row)
    await world.manager.save(Ruled, { id: 1, file: row.file }) // A plain object, as the row has it.
    await world.manager.update(Ruled, { id: 1 }, { file: row.file })
    await world.manager.upsert(Ruled, row, ['id'])
    const list = await world.manager.findOneByOrFail(RuledList, { id: 1 })
    list.files = [...(list.files ?? []), await world.upload('abc')]
    await world.manager.save(list)
    list.files = [...list.files, await world.upload('c')]
    await expect(world.manager.save(list)).rejects.toMatchObject({ context: { rule: 'minSizeBytes' } })
  })

  it('with checkOnSave: false are those of uploads alone', async () => {
    for (const [, , wrong] of wrongs) await world.manager.save(Unchecked, { id: 1, file: await wrong() })
    expect((await world.manager.findOneByOrFail(Unchecked, { id: 1 })).file?.storage).toBe('archive')
  })

  it('let in a file of another storage where the field names none, unless the row cannot keep it', async () => {
    await world.saved(AnyStorage, { id: 1, file: await world.upload('a', { storage: 'archive' }) })
    const file = await world.upload('b', { storage: 'archive' })
    await expect(world.saved(KeyOnly, { id: 1, file })).rejects.toMatchObject({
      context: { rule: 'storage' },
    })
  })

  it("with layout 'key' name the storage even then: the row could not say that it is another one", async () => {
    await world.manager.save(UncheckedKey, { id: 1, file: await world.upload('a') })
    await expect(
      world.manager.save(UncheckedKey, { id: 1, file: await world.upload('a', { storage: 'archive' }) }),
    ).rejects.toMatchObject({ code: 'invalid-value', context: { rule: 'storage', value: 'archive' } })
  })
})
