import { IsNull, Like, MoreThan, Raw, type Repository } from 'typeorm'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { isS3File, S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { databasesOfRun, TestDatabase } from '../support/database.ts'
import {
  Attachment,
  Django,
  Embedding,
  type Filed,
  Folder,
  InColumns,
  InJson,
  InKey,
  InText,
  Leaf,
  Medium,
  Photo,
  SchematicSchema,
  Unselected,
  UnselectedColumns,
} from '../support/entities.ts'
import { png } from '../support/sample-heads.ts'

const sqlite = 'sqljs://memory'

/** The database of this run, and SQLite, which needs no server. */
describe.each(databasesOfRun())('a file column on %s', (name) => {
  let database: TestDatabase
  beforeAll(async () => {
    configureStorages({ default: new MemoryStorage() })
    database = await TestDatabase.start(name === 'SQLite' ? sqlite : inject('servers').databaseUrl)
  })
  afterAll(() => database.stop())
  beforeEach(() => {
    database.takeWrites()
  })

  const newFile = (fileName = 'a.txt', text = 'hello') =>
    uploadFromStream(Buffer.from(text), { name: fileName, contentType: 'text/plain' })

  const layouts = [
    ['json', InJson],
    ['json in a text column', InText],
    ['columns', InColumns],
    ['key', InKey],
  ] as const

  describe.each(layouts)('layout %s', (layout, Entity) => {
    let repository: Repository<Filed>
    beforeAll(() => {
      repository = database.dataSource.getRepository(Entity) as unknown as Repository<Filed>
    })
    const create = async (file: S3File | null) => {
      const entity = new (Entity as new () => Filed)()
      entity.file = file
      await repository.save(entity)
      database.takeWrites()
      return entity.id
    }
    const load = (id: string) => repository.findOneByOrFail({ id })

    it('gives back what was saved', async () => {
      const file = await newFile('Prüfung 报告.txt')
      const { file: found } = await load(await create(file))
      expect(isS3File(found)).toBe(true)
      expect(found?.equals(file)).toBe(true)
      if (layout === 'key')
        expect(found).toMatchObject({ name: 'Prufung.txt', size: null, contentType: null })
      else expect(found?.toRecord()).toEqual(file.toRecord())
      expect((await found?.bytes())?.toString()).toBe('hello')
    })

    it('gives null for no file, and undefined stays unsaved', async () => {
      expect((await load(await create(null))).file).toBeNull()
      const entity = await repository.save({ title: 'without' } as Filed)
      expect((await load(entity.id)).file).toBeNull()
    })

    it('never finds an untouched file dirty', async () => {
      const loaded = await load(await create(await newFile()))
      await repository.save(loaded)
      expect(database.takeWrites()).toEqual([])
      loaded.title = 'changed'
      await repository.save(loaded)
      const writes = database.takeWrites()
      expect(writes).toHaveLength(1)
      expect(writes[0]).not.toMatch(/file/i)
    })

    it('is not dirty after its URL was asked for', async () => {
      const loaded = await load(await create(await newFile()))
      await loaded.file?.url()
      await repository.save(loaded)
      expect(database.takeWrites()).toEqual([])
    })

    it('replaces a file in one UPDATE', async () => {
      const loaded = await load(await create(await newFile('old.txt')))
      loaded.file = await newFile('new.txt', 'longer content')
      await repository.save(loaded)
      expect(database.takeWrites()).toHaveLength(1)
      const { file } = await load(loaded.id)
      expect(file?.name).toBe('new.txt')
      if (layout !== 'key') expect(file?.size).toBe(14)
    })

    it('clears a file with null, every part of it', async () => {
      const loaded = await load(await create(await newFile()))
      loaded.file = null
      await repository.save(loaded)
      expect((await load(loaded.id)).file).toBeNull()
      const metadata = repository.metadata
      const [row] = await database.dataSource.query(
        `SELECT * FROM ${database.dataSource.driver.escape(metadata.tableName)} WHERE id = '${loaded.id}'`,
      )
      const { id: _, title: __, ...fileColumns } = row
      expect(Object.values(fileColumns).every((value) => value === null)).toBe(true)
    })

    it('never clears a file that was not selected', async () => {
      const id = await create(await newFile())
      const partial = await repository.findOneOrFail({ where: { id }, select: { id: true, title: true } })
      expect(partial.file).toBeUndefined()
      partial.title = 'changed'
      await repository.save(partial)
      expect((await load(id)).file?.name).toBe('a.txt')
    })

    it('takes plain objects, create() and merge()', async () => {
      const file = await newFile('plain.txt')
      const { id } = await repository.save({ file } as Filed)
      expect((await load(id)).file?.equals(file)).toBe(true)
      const created = repository.create({ file })
      expect(created.file).toEqual(file)
      const loaded = await load(id)
      const before = loaded.file
      const other = await newFile('merged.txt')
      repository.merge(loaded, { file: other })
      expect(loaded.file?.equals(other)).toBe(true)
      expect(before?.name).toBe('plain.txt')
      await repository.save({ id, file: null } as Filed)
      expect((await load(id)).file).toBeNull()
    })

    it('refuses what is no S3File, and writes nothing', async () => {
      const forged = { key: '../../secret', name: 'x', size: 1, storage: 'default' }
      const count = await repository.count()
      const saving = repository.save({ file: forged } as unknown as Filed)
      await expect(saving).rejects.toSatisfy((error) => isS3FileError(error, 'not-a-file'))
      expect(await repository.count()).toBe(count)
    })

    it("answers a client's JSON that is sent back into the field with 400, and writes nothing", async () => {
      const loaded = await load(await create(await newFile()))
      const sentBack = JSON.parse(JSON.stringify(loaded))
      const withUrl = JSON.parse(JSON.stringify(await withUrls(loaded)))
      const refused = {
        code: 'not-a-file',
        statusCode: 400,
        message: expect.stringContaining('the JSON of a file'),
      }
      for (const body of [sentBack, withUrl]) {
        await expect(repository.save(body)).rejects.toMatchObject(refused)
        await expect(repository.save(Object.assign(await load(loaded.id), body))).rejects.toMatchObject(
          refused,
        )
        await expect(repository.insert({ ...body, id: undefined })).rejects.toMatchObject(refused)
        await expect(repository.update(loaded.id, { file: body.file })).rejects.toMatchObject(refused)
      }
      expect(database.takeWrites()).toEqual([])
      expect((await load(loaded.id)).file?.equals(loaded.file)).toBe(true)
    })

    it('rolls back with its transaction', async () => {
      const id = await create(await newFile('kept.txt'))
      const replacement = await newFile('lost.txt')
      const failing = database.dataSource.transaction(async (manager) => {
        const loaded = await manager.findOneByOrFail(Entity as typeof InJson, { id })
        loaded.file = replacement
        await manager.save(loaded)
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect((await load(id)).file?.name).toBe('kept.txt')
    })
  })

  it('layout columns answers where, order and select on each part', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    await repository.clear()
    const small = await newFile('small.txt', 'x')
    const large = await newFile('large.txt', 'x'.repeat(500))
    await repository.save([{ file: small }, { file: large }, { file: null }])
    const byKey = await repository.findOneByOrFail({ file: { key: small.key } })
    expect(byKey.file?.equals(small)).toBe(true)
    const bySize = await repository.find({ where: { file: { size: MoreThan(100) } } })
    expect(bySize.map(({ file }) => file?.name)).toEqual(['large.txt'])
    const byDate = await repository.findBy({ file: { uploadedAt: MoreThan(new Date('2020-01-01')) } })
    expect(byDate).toHaveLength(2)
    const ordered = await repository.find({
      where: { file: { name: Like('%.txt') } },
      order: { file: { size: 'DESC' } },
    })
    expect(ordered.map(({ file }) => file?.size)).toEqual([500, 1])
  })

  it.each([{ key: true }, { name: true }, { size: true, contentType: true }, true])(
    'layout columns loads the whole file when select names it by %j',
    async (parts) => {
      const repository = database.dataSource.getRepository(InColumns)
      const file = await newFile('whole.txt')
      const { id } = await repository.save({ file, title: 'a' })
      const select = { id: true, file: parts as true }
      const partial = await repository.findOneOrFail({ where: { id }, select })
      expect(partial.title).toBeUndefined()
      expect(partial.file?.toRecord()).toEqual(file.toRecord())
      partial.title = 'changed'
      await repository.save(partial)
      expect((await repository.findOneByOrFail({ id })).file?.toRecord()).toEqual(file.toRecord())
    },
  )

  it('layout columns loads no file, and counts every row, when select names one that is not there', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    await repository.clear()
    const { id } = await repository.save({ file: null })
    await repository.save({ file: await newFile() })
    const [rows, count] = await repository.findAndCount({ select: { id: true, file: true } })
    expect(count).toBe(2)
    expect(rows.find((row) => row.id === id)?.file).toBeNull()
  })

  it.each([
    [['row.id', 'row.file']],
    [['row.id', 'row.file.name']],
    [['row.id', 'row.file.key', 'row.file.size']],
  ])('layout columns loads the whole file when a query builder selects %j', async (selection) => {
    const repository = database.dataSource.getRepository(InColumns)
    const file = await newFile('built.txt')
    const { id } = await repository.save({ file, title: 'a' })
    const query = repository.createQueryBuilder('row').select(selection).where({ id })
    const found = await query.getOneOrFail()
    expect(found.file?.toRecord()).toEqual(file.toRecord())
    expect(found.title).toBeUndefined()
  })

  it('layout columns loads the whole file of a relation, also a page of them', async () => {
    const folders = database.dataSource.getRepository(Folder)
    const file = await newFile('leaf.txt')
    await folders.save(Object.assign(new Folder(), { id: 7, leaves: [Object.assign(new Leaf(), { file })] }))
    for (const relationLoadStrategy of ['join', 'query'] as const) {
      const [folder] = await folders.find({
        where: { id: 7 },
        relations: { leaves: true },
        select: { id: true, leaves: { id: true, file: { name: true } } },
        take: 1,
        relationLoadStrategy,
      })
      expect(folder?.leaves[0]?.file?.toRecord()).toEqual(file.toRecord())
    }
  })

  it('layout columns gives raw results what a query selects, and no more', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    await repository.clear()
    await repository.save([{ file: await newFile('x.txt') }, { file: await newFile('x.txt') }])
    const query = repository
      .createQueryBuilder('row')
      .select('row.file.name', 'name')
      .groupBy('row.file.name')
    expect(await query.getRawMany()).toEqual([{ name: 'x.txt' }])
  })

  it('layout columns answers where with a file: the rows that have this object', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    const [wanted, other] = [await newFile('same.txt'), await newFile('same.txt')]
    await repository.save([{ file: wanted }, { file: other }])
    const found = await repository.find({ where: { file: wanted } })
    expect(found.map(({ file }) => file?.key)).toEqual([wanted.key])
  })

  it('layout columns takes a file for its object in every criterion, also one whose other parts are null', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    const { key } = await newFile('bare.txt')
    const bare = new S3File({ key })
    for (const count of [
      async () => (await repository.find({ where: { file: bare } })).length,
      async () => (await repository.createQueryBuilder().where({ file: bare }).getMany()).length,
      async () => (await repository.update({ file: bare }, { file: bare })).affected,
      async () => (await repository.delete({ file: bare })).affected,
    ]) {
      await repository.clear()
      await repository.save({ file: bare })
      expect(await count()).toBe(1)
    }
  })

  it("layout key takes no key from a client's JSON", async () => {
    const repository = database.dataSource.getRepository(InKey)
    const forged = JSON.parse('{"file": "other-tenant/secret.pdf"}')
    expect(() => repository.create(forged as object)).toThrow(/takes an S3File or null/)
    await expect(repository.save(forged)).rejects.toMatchObject({ code: 'not-a-file' })
    const { id } = await repository.save({ file: await newFile() })
    await expect(repository.save({ id, file: 'other-tenant/secret.pdf' as never })).rejects.toMatchObject({
      code: 'not-a-file',
    })
  })

  it('layout columns takes update() with a file', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    const { id } = await repository.save({ file: await newFile('before.txt') })
    const after = await newFile('after.txt', 'after')
    await repository.update(id, { file: after })
    expect((await repository.findOneByOrFail({ id })).file?.toRecord()).toEqual(after.toRecord())
  })

  it('layout columns takes update() with null, which clears every part', async () => {
    const repository = database.dataSource.getRepository(InColumns)
    const { id } = await repository.save({ file: await newFile() })
    const other = await repository.save({ file: await newFile() })
    await repository.update(id, { file: null })
    expect((await repository.findOneByOrFail({ id })).file).toBeNull()
    expect(
      await repository.countBy({ id, file: { name: IsNull(), size: IsNull(), storage: IsNull() } }),
    ).toBe(1)
    expect((await repository.findOneByOrFail({ id: other.id })).file).not.toBeNull()
  })

  it.each([
    ['a text', 'a key', 'not-a-file'],
    ['a number', 7, 'not-a-file'],
    ['a Promise', Promise.resolve(), 'invalid-value'],
    ['a Date', new Date(), 'invalid-value'],
  ])('layout columns takes %s neither in update() nor in delete() and where', async (_, value, code) => {
    const repository = database.dataSource.getRepository(InColumns)
    const { id } = await repository.save({ file: await newFile() })
    const count = await repository.count()
    const file = value as never
    await expect(repository.update(id, { file })).rejects.toMatchObject({ code })
    await expect(repository.delete({ file })).rejects.toMatchObject({ code })
    await expect(repository.findBy({ file })).rejects.toMatchObject({ code })
    expect(await repository.count()).toBe(count)
  })

  it.each([
    ['null', null],
    ['an operator', IsNull()],
  ])('layout columns deletes no row that has a file by %s', async (_, file) => {
    const repository = database.dataSource.getRepository(InColumns)
    const { id } = await repository.save({ file: await newFile() })
    await repository.delete({ file: file as never }).catch(() => undefined)
    expect((await repository.findOneByOrFail({ id })).file?.name).toBe('a.txt')
  })

  it('layout key answers where with a key, a file or a pattern', async () => {
    const repository = database.dataSource.getRepository(InKey)
    const file = await newFile('wanted.txt')
    await repository.save([{ file }, { file: await newFile('other.txt') }])
    for (const wanted of [file, file.key, Like(`${file.key.slice(0, 10)}%wanted%`)]) {
      const found = await repository.find({ where: { file: wanted as never } })
      expect(found.map((each) => each.file?.key)).toEqual([file.key])
    }
  })

  it('layout json answers where with Raw', async () => {
    const repository = database.dataSource.getRepository(InJson)
    const file = await newFile('wanted.txt')
    await repository.save([{ file }, { file: await newFile('other.txt') }])
    const isMariaDb = database.dataSource.options.type === 'mariadb'
    const keyOf = (column: string) => (isMariaDb ? `JSON_VALUE(${column}, '$.key')` : `${column} ->> 'key'`)
    const found = await repository.findBy({
      file: Raw((column) => `${keyOf(column)} = :key`, { key: file.key }),
    })
    expect(found.map((each) => each.file?.key)).toEqual([file.key])
  })

  it("layout key reads and writes a table as Django has it, '' for no file", async () => {
    const { dataSource } = database
    const repository = dataSource.getRepository(Django)
    const upload = await newFile('from-django.txt')
    const table = dataSource.driver.escape(repository.metadata.tableName)
    await dataSource.query(`INSERT INTO ${table} (upload) VALUES ('${upload.key}')`)
    await dataSource.query(`INSERT INTO ${table} (upload) VALUES ('')`)
    const [first, second] = await repository.find({ order: { id: 'ASC' } })
    expect(first?.upload?.key).toBe(upload.key)
    expect(second?.upload).toBeNull()
    database.takeWrites()
    await repository.save([first as Django, second as Django])
    expect(database.takeWrites()).toEqual([])
    await repository.save({ id: first?.id as number, upload: null } as Django)
    expect(await dataSource.query(`SELECT upload FROM ${table} ORDER BY id`)).toEqual([
      { upload: '' },
      { upload: '' },
    ])
  })

  it.each([
    ['json', Unselected, true],
    ['columns', UnselectedColumns, { key: true, name: true }],
  ])(
    'select: false leaves a %s file out until it is asked for, and out of a save',
    async (_, Entity, parts) => {
      const repository = database.dataSource.getRepository(Entity as typeof Unselected)
      const { id } = await repository.save({ file: await newFile() } as Unselected)
      const loaded = await repository.findOneByOrFail({ id })
      expect(loaded.file).toBeUndefined()
      await repository.save({ ...loaded, title: 'x' })
      const asked = await repository.findOneOrFail({
        where: { id },
        select: { id: true, file: parts as never },
      })
      expect(asked.file?.name).toBe('a.txt')
    },
  )

  it('works in embedded classes, in both ways of keeping it', async () => {
    const repository = database.dataSource.getRepository(Embedding)
    const attachment = Object.assign(new Attachment(), {
      json: await newFile('j.txt'),
      columns: await newFile('c.txt'),
    })
    const { id } = await repository.save({ attachment })
    const loaded = await repository.findOneByOrFail({ id })
    expect(loaded.attachment.json?.name).toBe('j.txt')
    expect(loaded.attachment.columns?.toRecord()).toEqual(attachment.columns.toRecord())
    expect(await repository.findOneBy({ attachment: { columns: { name: 'c.txt' } } })).not.toBeNull()
    loaded.attachment.columns = null
    loaded.attachment.json = null
    await repository.save(loaded)
    expect((await repository.findOneByOrFail({ id })).attachment).toMatchObject({ json: null, columns: null })
  })

  it('works in inherited classes and @ChildEntity', async () => {
    const photos = database.dataSource.getRepository(Photo)
    const file = await newFile('photo.txt')
    const thumbnail = await newFile('thumb.txt')
    const { id } = await photos.save({ file, thumbnail })
    expect((await photos.findOneByOrFail({ id })).thumbnail?.equals(thumbnail)).toBe(true)
    const medium = await database.dataSource.getRepository(Medium).findOneByOrFail({ id })
    expect(medium).toBeInstanceOf(Photo)
    expect(medium.file?.equals(file)).toBe(true)
  })

  it('works through cascades', async () => {
    const folders = database.dataSource.getRepository(Folder)
    const leaf = Object.assign(new Leaf(), { file: await newFile('leaf.txt') })
    await folders.save(Object.assign(new Folder(), { id: 1, leaves: [leaf] }))
    const folder = await folders.findOneOrFail({ where: { id: 1 }, relations: { leaves: true } })
    expect(folder.leaves[0]?.file?.name).toBe('leaf.txt')
  })

  it('works in an EntitySchema, which an upload can name', async () => {
    const repository = database.dataSource.getRepository(SchematicSchema)
    const file = await uploadFromStream(Buffer.from('x'), { name: 's.txt', into: [SchematicSchema, 'file'] })
    expect(file.key).toMatch(/^schematic\//)
    const { id } = await repository.save({ file, path: file })
    expect(await repository.findOneByOrFail({ id })).toMatchObject({
      file: { key: file.key },
      path: { key: file.key },
    })
  })

  it.each([
    ['json', InJson, 'file', `'{"name":"no key"}'`],
    ['json in text', InText, 'file_text', `'not json at all'`],
    ['columns', InColumns, 'fileName', `''`],
  ])(
    'a row that cannot be read spoils %s only for whoever touches that file',
    async (_, Entity, column, bad) => {
      const { dataSource } = database
      const repository = dataSource.getRepository(Entity as typeof InJson)
      await repository.clear()
      const [first, second] = await repository.save([
        { file: await newFile('a.txt') },
        { file: await newFile('b.txt') },
      ])
      const quote = (identifier: string) => dataSource.driver.escape(identifier)
      const table = quote(repository.metadata.tableName)
      await dataSource.query(`UPDATE ${table} SET ${quote(column)} = ${bad} WHERE id = '${first?.id}'`)

      const found = await repository.find()
      expect(found).toHaveLength(2)
      const spoiled = found.find(({ id }) => id === first?.id) as InJson
      const fine = found.find(({ id }) => id === second?.id) as InJson
      expect(fine.file?.name).toBe('b.txt')
      const error = await Promise.resolve()
        .then(() => spoiled.file?.key)
        .catch((thrown: unknown) => thrown)
      expect(isS3FileError(error, 'invalid-record')).toBe(true)
      expect((error as Error).message).toContain(`${Entity.name}.file of row {"id":"${first?.id}"}`)
      await expect(spoiled.file?.url()).rejects.toSatisfy((thrown) => isS3FileError(thrown, 'invalid-record'))

      const list = await withUrls(found)
      expect(list.find(({ id }) => id === spoiled.id)?.file).toMatchObject({
        url: null,
        error: 'invalid-record',
      })
      database.takeWrites()
      spoiled.title = 'still savable'
      await repository.save(spoiled)
      expect(database.takeWrites().join()).not.toContain(quote(column))
      spoiled.file = null
      await repository.save(spoiled)
      expect((await repository.findOneByOrFail({ id: spoiled.id })).file).toBeNull()
    },
  )

  it('an upload takes storage, prefix, limits and types from the field', async () => {
    const into = [InJson, 'file'] as const
    const file = await uploadFromStream(Buffer.from('x'), { name: 'a.txt', contentType: 'text/plain', into })
    expect(file.key).toMatch(/^json\/[\w-]{22}\/a\.txt$/)
    const tooLarge = uploadFromStream(Buffer.alloc(1001, 'x'), {
      name: 'a.txt',
      contentType: 'text/plain',
      into,
    })
    await expect(tooLarge).rejects.toThrow("file 'a.txt' is larger than the limit of 1000 bytes")
    const image = uploadFromStream(png, { name: 'a.txt', contentType: 'text/plain', into })
    await expect(image).rejects.toThrow("file 'a.txt' is of type image/png, declared as text/plain")
  })

  it('the entity of the README hands out a URL', async () => {
    const entity = new InJson()
    expect(entity.downloadUrl).toBeUndefined()
    entity.file = await newFile()
    expect(await entity.downloadUrl).toMatch(/^memory:.*a\.txt$/)
  })
})
