import { Readable } from 'node:stream'
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3'
import { Column, DataSource, Entity, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { FileStorage, ListedObject } from '../../src/core/file-storage.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { type ReconcileOptions, reconcile } from '../../src/orm/reconcile.ts'
import type { ReconcileFinding, ReconcileSummary } from '../../src/orm/reconcile-findings.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { afterStatement } from '../support/after-statement.ts'
import { databasesOfRun } from '../support/database.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

abstract class Reconciled {
  @PrimaryGeneratedColumn() id!: number
}

@Entity()
class RecJson extends Reconciled {
  @S3FileField({ keyPrefix: 'docs', nullable: true }) file!: S3File | null
}

@Entity()
class RecText extends Reconciled {
  @S3FileField({ keyPrefix: 'docs/text', nullable: true, column: { type: 'text' } }) file!: S3File | null
}

@Entity()
class RecColumns extends Reconciled {
  @S3FileField({ keyPrefix: 'columns', layout: 'columns', nullable: true }) file!: S3File | null
}

@Entity()
class RecKey extends Reconciled {
  @S3FileField({ keyPrefix: 'keys', layout: 'key', nullable: true, column: { length: 200 } })
  file!: S3File | null
}

@Entity()
class RecList extends Reconciled {
  @S3FileField({ keyPrefix: 'lists', multiple: true, nullable: true }) files!: S3File[] | null
}

@Entity()
class RecTextList extends Reconciled {
  @S3FileField({ keyPrefix: 'lists', multiple: true, nullable: true, column: { type: 'text' } })
  files!: S3File[] | null
}

/** Two columns make its key, and its storage has no prefix. */
@Entity()
class RecOther {
  @PrimaryColumn({ type: 'int', name: 'area_id' }) area!: number
  @PrimaryColumn({ type: 'varchar', length: 20 }) code!: string
  @Column({ type: 'varchar', length: 20, nullable: true }) title!: string | null
  @S3FileField({ storage: 'other', nullable: true }) file!: S3File | null
}

const singles = [RecJson, RecText, RecColumns, RecKey]
const files = [...singles, RecList, RecTextList, RecOther]

async function collect(dataSource: DataSource, options: ReconcileOptions = {}) {
  const findings: ReconcileFinding[] = []
  let summary: ReconcileSummary | undefined
  for await (const each of reconcile(dataSource, { olderThanSeconds: 0, ...options })) {
    expect(summary).toBeUndefined()
    if (each.type === 'summary') summary = each
    else findings.push(each)
  }
  return { findings, summary: summary as ReconcileSummary }
}

const bytes = (text = 'x') => Readable.from([Buffer.from(text)])

describe.each(databasesOfRun())('on %s', (name) => {
  const url = () => (name === 'SQLite' ? 'sqljs://memory' : inject('servers').databaseUrl)
  let world: S3World
  let other: MemoryStorage
  let dataSource: DataSource

  const connect = (schema: object) =>
    new DataSource({
      ...dataSourceOptions(url()),
      entities: [...files, FileJournalEntry],
      ...schema,
    } as ConstructorParameters<typeof DataSource>[0]).initialize()

  beforeAll(async () => {
    world = await S3World.start()
    dataSource = await connect({ synchronize: true, dropSchema: true })
    configure()
  })
  afterAll(async () => {
    await dataSource.destroy()
    await world.stop()
  })

  const configure = (storages: Record<string, FileStorage> = {}) => {
    other = new MemoryStorage()
    configureStorages({ default: world.storage, other, ...storages })
  }
  afterEach(async () => {
    for (const entity of [...files, FileJournalEntry]) await dataSource.getRepository(entity).clear()
    await world.clear()
    configure()
  })

  const put = (path: string, text?: string) => world.storage.put(world.prefix + path, bytes(text))
  const fileAt = (path: string, storage = 'default') =>
    new S3File({ key: (storage === 'default' ? world.prefix : '') + path, name: 'x', storage })
  const row = async (entity: (typeof singles)[number], path: string) =>
    (await dataSource.manager.save(entity, { file: fileAt(path) })).id
  const listRow = async (entity: typeof RecList | typeof RecTextList, ...paths: string[]) =>
    (await dataSource.manager.save(entity, { files: paths.map((path) => fileAt(path)) })).id
  const entry = (path: string, more: Partial<FileJournalEntry> = {}, { manager } = dataSource) =>
    manager.insert(FileJournalEntry, {
      id: `entry of ${path}`,
      reason: 'release',
      storage: 'default',
      key: world.prefix + path,
      since: '2026-01-02T03:04:05.000Z',
      dueAt: '2026-01-02T03:04:05.000Z',
      ...more,
    })
  const orphan = (path: string) => expect.objectContaining({ type: 'orphan', key: world.prefix + path })

  it('finds nothing where each object has its row', async () => {
    for (const [index, entity] of singles.entries()) {
      const path = `${['docs', 'docs/text', 'columns', 'keys'][index]}/a`
      await put(path)
      await row(entity, path)
    }
    for (const path of ['lists/a', 'lists/b', 'lists/c']) await put(path)
    await listRow(RecList, 'lists/b', 'lists/a')
    await listRow(RecTextList, 'lists/c')
    await dataSource.manager.save(RecList, [{ files: [] }, { files: null }])
    await dataSource.manager.save(singles.map((entity) => dataSource.manager.create(entity, { file: null })))
    expect(await collect(dataSource, { deleteOrphans: true })).toEqual({
      findings: [],
      summary: {
        type: 'summary',
        objects: 7,
        files: 7,
        orphans: 0,
        orphanBytes: 0,
        deleted: 0,
        dangling: 0,
        staleUploads: 0,
        aborted: 0,
        journal: { entries: 0, due: 0, failing: 0, oldest: null },
      },
    })
    expect(await world.keys()).toHaveLength(7)
  })

  it('finds objects that no row refers to, in the order of their keys, and keeps them', async () => {
    const orphans = ['columns/x', 'docs/b', 'docs/text/x', 'keys/x', 'lists/b']
    for (const path of [...orphans, 'docs/a', 'docs/text/a', 'lists/a']) await put(path, 'four')
    await row(RecJson, 'docs/a')
    await row(RecKey, 'docs/text/a')
    await listRow(RecList, 'lists/a')
    const { findings, summary } = await collect(dataSource)
    expect(findings).toEqual(
      orphans.map((path) => ({
        type: 'orphan',
        storage: 'default',
        key: world.prefix + path,
        size: 4,
        lastModified: expect.any(Date),
        isDeleted: false,
      })),
    )
    expect(summary).toMatchObject({ objects: 8, files: 3, orphans: 5, orphanBytes: 20, deleted: 0 })
    expect(await world.keys()).toHaveLength(8)
  })

  it('deletes orphans when told to, and nothing else', async () => {
    for (const path of ['docs/a', 'docs/b', 'elsewhere/a', 'keys/a']) await put(path)
    await row(RecJson, 'docs/a')
    const { findings, summary } = await collect(dataSource, { deleteOrphans: true })
    expect(findings).toEqual([
      expect.objectContaining({ key: `${world.prefix}docs/b`, isDeleted: true }),
      expect.objectContaining({ key: `${world.prefix}keys/a`, isDeleted: true }),
    ])
    expect(summary).toMatchObject({ orphans: 2, deleted: 2 })
    expect((await world.keys()).sort()).toEqual(['docs/a', 'elsewhere/a'])
  })

  it('tells why an orphan could not be deleted', async () => {
    for (const path of ['docs/a', 'docs/b']) await put(path)
    const stuck = new Proxy(world.storage, {
      get: (storage, property) =>
        property === 'deleteMany'
          ? async (keys: Iterable<string>) => [{ key: [...keys][0], error: new Error('locked') }]
          : bound(storage, property),
    })
    configure({ default: stuck })
    const { findings, summary } = await collect(dataSource, { deleteOrphans: true })
    expect(findings).toEqual([
      expect.objectContaining({ isDeleted: false, error: new Error('locked') }),
      expect.objectContaining({ isDeleted: true }),
    ])
    expect(summary).toMatchObject({ orphans: 2, deleted: 1 })
  })

  it('leaves young objects alone', async () => {
    await put('docs/a')
    expect((await collect(dataSource, { olderThanSeconds: 3600, deleteOrphans: true })).findings).toEqual([])
    expect(await world.keys()).toEqual(['docs/a'])
  })

  it('leaves alone what an entry of the journal names, and counts the entries', async () => {
    for (const path of ['docs/a', 'docs/b', 'docs/c']) await put(path)
    await entry('docs/a')
    await entry('docs/b', { reason: 'upload', dueAt: '2999-01-01T00:00:00.000Z', attempts: 2 })
    const { findings, summary } = await collect(dataSource, { deleteOrphans: true })
    expect(findings).toEqual([orphan('docs/c')])
    expect(await world.keys()).toEqual(['docs/a', 'docs/b'])
    expect(summary.journal).toEqual({
      entries: 2,
      due: 1,
      failing: 1,
      oldest: new Date('2026-01-02T03:04:05Z'),
    })
  })

  it('finds rows whose object is not there, by column and primary key', async () => {
    await put('docs/a')
    await listRow(RecList, 'docs/a')
    const ids = [await row(RecJson, 'docs/gone'), await row(RecKey, 'docs/gone')]
    const listId = await listRow(RecTextList, 'lists/gone')
    await dataSource.manager.save(RecOther, { area: 1, code: 'b', file: fileAt('gone', 'other') })
    const { findings, summary } = await collect(dataSource, { deleteOrphans: true })
    const dangling = { type: 'dangling', storage: 'default' }
    expect(findings).toEqual([
      {
        ...dangling,
        key: `${world.prefix}docs/gone`,
        rows: [
          { entity: 'RecJson', property: 'file', id: { id: ids[0] } },
          { entity: 'RecKey', property: 'file', id: { id: ids[1] } },
        ],
      },
      {
        ...dangling,
        key: `${world.prefix}lists/gone`,
        rows: [{ entity: 'RecTextList', property: 'files', id: { id: listId } }],
      },
      {
        ...dangling,
        storage: 'other',
        key: 'gone',
        rows: [{ entity: 'RecOther', property: 'file', id: { area_id: 1, code: 'b' } }],
      },
    ])
    expect(summary).toMatchObject({ files: 4, dangling: 3 })
  })

  it('names ten rows at most of an object that many share', async () => {
    for (let index = 0; index < 12; index++) await row(RecJson, 'docs/gone')
    const { findings } = await collect(dataSource)
    expect(findings).toEqual([expect.objectContaining({ rows: expect.any(Array) })])
    expect(findings[0]).toHaveProperty('rows.length', 10)
  })

  it('looks for the object of a row outside of all prefixes', async () => {
    await put('elsewhere/a')
    await row(RecJson, 'elsewhere/a')
    await row(RecJson, 'elsewhere/b')
    const { findings } = await collect(dataSource)
    expect(findings).toEqual([
      expect.objectContaining({ type: 'dangling', key: `${world.prefix}elsewhere/b` }),
    ])
  })

  it('looks at all of a storage of which a field has no prefix', async () => {
    await other.put('deep/a', bytes())
    await other.put('b', bytes())
    await dataSource.manager.save(RecOther, { area: 1, code: 'b', file: fileAt('deep/a', 'other') })
    const { findings } = await collect(dataSource, { deleteOrphans: true })
    expect(findings).toEqual([expect.objectContaining({ storage: 'other', key: 'b', isDeleted: true })])
    expect([...other.objects.keys()]).toEqual(['deep/a'])
  })

  it('keeps an object that a row names under another storage: they may share a bucket', async () => {
    const memory = new MemoryStorage()
    await memory.put('docs/a', bytes())
    const alias = Object.assign(new MemoryStorage(), { objects: memory.objects })
    configureStorages({ default: memory, other: new MemoryStorage(), alias })
    await dataSource.manager.save(RecJson, {
      file: new S3File({ key: 'docs/a', name: 'a', storage: 'alias' }),
    })
    expect((await collect(dataSource, { deleteOrphans: true })).findings).toEqual([])
    expect([...memory.objects.keys()]).toEqual(['docs/a'])
  })

  it('counts a storage of two names once', async () => {
    const memory = new MemoryStorage()
    for (const key of ['docs/a', 'docs/b']) await memory.put(key, bytes())
    configureStorages({ default: memory, other: memory })
    await dataSource.manager.save(RecJson, { file: new S3File({ key: 'docs/a', storage: 'other' }) })
    const { findings, summary } = await collect(dataSource)
    expect(findings).toEqual([expect.objectContaining({ storage: 'default', key: 'docs/b' })])
    expect(summary).toMatchObject({ objects: 2, files: 1 })
  })

  it('follows the order of UTF-8 bytes in every layout', async () => {
    const memory = new MemoryStorage()
    const names = [
      'Z',
      'a',
      'A',
      'a ',
      'a\u0001',
      'a/b',
      'a-b',
      'a_b',
      'é',
      'e\u0301',
      'ß',
      '\uff5e',
      '\u{1f600}',
    ]
    configureStorages({ default: memory, other: new MemoryStorage() })
    for (const [index, entity] of singles.entries()) {
      const prefix = ['docs', 'docs/text', 'columns', 'keys'][index]
      for (const text of names) {
        const key = `${prefix}/${text}`
        await memory.put(key, bytes())
        await dataSource.manager.save(entity, { file: new S3File({ key, name: 'x' }) })
      }
    }
    const listed = names.map((text) => new S3File({ key: `lists/${text}`, name: 'x' }))
    for (const { key } of listed) await memory.put(key, bytes())
    await dataSource.manager.save(RecList, { files: listed })
    // Each key is looked up alone only when the two orders differ.
    memory.stat = async (key) => expect.unreachable(`asked for ${key}`)
    const { findings, summary } = await collect(dataSource)
    expect(findings).toEqual([])
    expect(summary).toMatchObject({ objects: 5 * names.length, files: 5 * names.length })
  })

  it('refuses a listing in another order before it deletes anything', async () => {
    const memory = new MemoryStorage()
    for (let index = 0; index < 3000; index++) await memory.put(`docs/${10_000 + index}`, bytes())
    memory.list = async function* () {
      for (const { key, size } of objectsOf(memory)) {
        if (key !== 'docs/10000') yield { key, size, lastModified: new Date(0) }
      }
      yield { key: 'docs/10000', size: 1, lastModified: new Date(0) }
    }
    configureStorages({ default: memory, other: new MemoryStorage() })
    await expect(collect(dataSource, { deleteOrphans: true })).rejects.toMatchObject({
      name: 'StorageError',
      code: 'storage-failed',
      message: expect.stringMatching(/order of their keys' bytes: 'docs\/10000' comes behind 'docs\/12999'/),
    })
    expect(memory.objects.size).toBe(3000)
  })

  it('keeps an object that gets its row between listing and deletion', async ({ skip }) => {
    skip(
      name !== 'SQLite' && S3World.server.kind === 'embedded',
      'PGlite has one session, which reads the rows at that time',
    )
    for (const path of ['docs/a', 'docs/b', 'docs/c']) await put(path)
    const second = name === 'SQLite' ? dataSource : await connect({})
    let listings = 0
    const late = new Proxy(world.storage, {
      get: (storage, property) =>
        property === 'list'
          ? async function* (options: { prefix: string }) {
              yield* storage.list(options)
              // The first listing is the one that looks at the order.
              if (options.prefix !== `${world.prefix}docs/` || ++listings < 2) return
              await second.manager.save(RecJson, { file: fileAt('docs/a') })
              await entry('docs/b', {}, second)
            }
          : bound(storage, property),
    })
    configure({ default: late })
    const { findings } = await collect(dataSource, { deleteOrphans: true })
    if (second !== dataSource) await second.destroy()
    expect(listings).toBe(2)
    expect(findings).toEqual([orphan('docs/c')])
    expect(await world.keys()).toEqual(['docs/a', 'docs/b'])
  })

  it.each([
    ['JSON to a key', RecJson, RecKey],
    ['a key to JSON', RecKey, RecJson],
  ])('keeps an object whose file moves from %s between two statements', async (_, from, to) => {
    // PGlite has one session, which reads the rows at that time.
    if (name !== 'SQLite' && S3World.server.kind === 'embedded') return
    await put('docs/a')
    const second = name === 'SQLite' ? dataSource : await connect({})
    let listings = 0
    const late = new Proxy(world.storage, {
      get: (storage, property) =>
        property === 'list'
          ? async function* (options: { prefix: string }) {
              yield* storage.list(options)
              // The first listing is the one that looks at the order.
              if (options.prefix === `${world.prefix}docs/` && ++listings === 2)
                await second.manager.insert(from, { file: fileAt('docs/a') })
            }
          : bound(storage, property),
    })
    configure({ default: late })
    const end = afterStatement(dataSource, /ref_key/, () =>
      second.transaction(async (manager) => {
        await manager.deleteAll(from)
        await manager.insert(to, { file: fileAt('docs/a') })
      }),
    )
    const { findings } = await collect(dataSource, { deleteOrphans: true })
    if (second !== dataSource) await second.destroy()
    expect(end()).toBe(true)
    expect(findings).toEqual([])
    expect(await world.keys()).toEqual(['docs/a'])
  })

  it('does not report a row that has let the missing object go meanwhile', async ({ skip }) => {
    skip(
      name !== 'SQLite' && S3World.server.kind === 'embedded',
      'PGlite has one session, which reads the rows at that time',
    )
    const id = await row(RecJson, 'docs/gone')
    const second = name === 'SQLite' ? dataSource : await connect({})
    const late = new Proxy(world.storage, {
      get: (storage, property) =>
        property === 'stat'
          ? async () => {
              await second.manager.save(RecJson, { id, file: null })
              return null
            }
          : bound(storage, property),
    })
    configure({ default: late })
    const { findings } = await collect(dataSource)
    if (second !== dataSource) await second.destroy()
    expect(findings).toEqual([])
  })

  describe('stale uploads', () => {
    const uploads = (...keys: string[]) =>
      keys.map((key, index) => ({ key, uploadId: `upload ${index}`, startedAt: new Date(0) }))

    it('are found and aborted, but not those that the journal names', async () => {
      const open = [
        ...uploads('docs/a', 'docs/b', 'docs/c'),
        { key: 'docs/d', uploadId: 'young', startedAt: new Date() },
      ]
      const aborted: string[] = []
      const memory = Object.assign(new MemoryStorage(), {
        async *listUploads({ prefix = '' }: { prefix?: string } = {}) {
          yield* open.filter(({ key }) => key.startsWith(prefix))
        },
        async abortUpload(_key: string, uploadId: string) {
          if (uploadId === 'upload 2') throw new Error('denied')
          aborted.push(uploadId)
        },
      })
      configureStorages({ default: memory, other: new MemoryStorage() })
      await entry('', { reason: 'upload', key: 'docs/a' })
      const dry = await collect(dataSource, { olderThanSeconds: 60 })
      expect(dry.findings).toEqual([
        expect.objectContaining({ type: 'stale-upload', key: 'docs/b', isAborted: false }),
        expect.objectContaining({ type: 'stale-upload', key: 'docs/c', isAborted: false }),
      ])
      expect(aborted).toEqual([])
      const { findings, summary } = await collect(dataSource, { olderThanSeconds: 60, deleteOrphans: true })
      expect(findings).toEqual([
        {
          type: 'stale-upload',
          storage: 'default',
          ...{ key: 'docs/b', uploadId: 'upload 1', startedAt: new Date(0) },
          isAborted: true,
        },
        expect.objectContaining({ key: 'docs/c', isAborted: false, error: new Error('denied') }),
      ])
      expect(aborted).toEqual(['upload 1'])
      expect(summary).toMatchObject({ staleUploads: 2, aborted: 1 })
    })

    it('of S3 are aborted', async ({ skip }) => {
      skip(!S3World.abilities.listsUploads, 'this server does not list multipart uploads')
      for (const path of ['docs/a', 'elsewhere/a']) {
        await world.client.send(
          new CreateMultipartUploadCommand({ Bucket: S3World.server.bucket, Key: world.prefix + path }),
        )
      }
      const { findings } = await collect(dataSource, { deleteOrphans: true })
      expect(findings).toEqual([
        expect.objectContaining({ type: 'stale-upload', key: `${world.prefix}docs/a`, isAborted: true }),
      ])
      expect(await world.openUploads()).toEqual([`${world.prefix}elsewhere/a`])
    })
  })

  describe('refuses what it does not know, and deletes nothing:', () => {
    const table = (entity: (typeof files)[number]) => dataSource.getMetadata(entity).tableName
    const write = async (entity: (typeof files)[number], column: string, value: string) => {
      const { driver } = dataSource
      await dataSource.query(
        `INSERT INTO ${driver.escape(table(entity))} (${driver.escape(column)}) VALUES ('${value}')`,
      )
    }

    it.each([
      ['a record without a key', RecJson, 'file', '{"name":"x","storage":"default"}'],
      ['a record without a storage', RecJson, 'file', '{"key":"docs/x"}'],
      ['a record whose key is null', RecJson, 'file', '{"key":null,"storage":"default"}'],
      ['a value that is no record', RecJson, 'file', '"docs/x"'],
      ['a list where one file goes', RecJson, 'file', '[{"key":"docs/x","storage":"default"}]'],
      ['a text that is no JSON', RecText, 'file', 'docs/x'],
      ['a text that is broken JSON', RecText, 'file', '{"key":"docs/x"'],
      ['an empty key in columns', RecColumns, 'fileKey', ''],
      ['a list of keys', RecList, 'files', '["lists/x"]'],
      ['a list with a record without a key', RecList, 'files', '[{"storage":"default"}]'],
      ['a text that is no list', RecTextList, 'files', 'lists/x'],
      ['a text that is a broken list', RecTextList, 'files', '[{"key":"lists/x"'],
    ] as const)('%s', async (_what, entity, column, value) => {
      await put('docs/orphan')
      await write(entity, column, value)
      await write(entity, column, value)
      await expect(collect(dataSource, { deleteOrphans: true })).rejects.toMatchObject({
        name: 'ConfigurationError',
        code: 'unknown-layout',
        message: `2 values of column '${column}' of table '${table(entity)}': no record of a file`,
        context: { table: table(entity), column, count: 2 },
      })
      expect(await world.keys()).toEqual(['docs/orphan'])
    })

    it.each([
      ['JSON', RecJson, 'file'],
      ['columns', RecColumns, 'file'],
      ['lists', RecList, 'files'],
    ] as const)('a storage in %s that is not configured', async (_what, entity, property) => {
      await put('docs/orphan')
      const file = fileAt('a', 'nowhere')
      await dataSource.manager.save(entity, { [property]: property === 'files' ? [file, file] : file })
      await expect(collect(dataSource, { deleteOrphans: true })).rejects.toMatchObject({
        code: 'unknown-layout',
        message: expect.stringContaining("of the storage 'nowhere', which is not configured"),
        context: { table: table(entity), count: property === 'files' ? 2 : 1 },
      })
      expect(await world.keys()).toEqual(['docs/orphan'])
    })

    it('a storage of a field that is not configured', async () => {
      await put('docs/orphan')
      configureStorages({ default: world.storage })
      await expect(collect(dataSource, { deleteOrphans: true })).rejects.toMatchObject({
        code: 'unknown-storage',
      })
      expect(await world.keys()).toEqual(['docs/orphan'])
    })
  })

  it('ends its connections when nobody wants more', async () => {
    for (const path of ['docs/a', 'docs/b']) await put(path)
    for await (const _ of reconcile(dataSource, { olderThanSeconds: 0 })) break
    expect((await collect(dataSource)).findings).toHaveLength(2)
  })

  it('refuses options it does not know', async () => {
    await expect(collect(dataSource, { olderThan: 1 } as ReconcileOptions)).rejects.toMatchObject({
      code: 'unknown-option',
    })
  })
})

describe('reconcile', () => {
  it('holds a batch of 200,000 objects and rows at most', async () => {
    const count = 200_000
    const keyOf = (index: number) => `keys/${1_000_000 + index}`
    let listed = 0
    const storage = new MemoryStorage()
    storage.list = async function* (): AsyncGenerator<ListedObject> {
      // Every second object has a row.
      for (listed = 0; listed < count; listed++) {
        yield { key: keyOf(listed), size: 1, lastModified: new Date(0) }
      }
    }
    configureStorages({ default: storage })
    const dataSource = await new DataSource({
      type: 'sqljs',
      entities: [RecKey],
      synchronize: true,
    }).initialize()
    await dataSource.query(
      `INSERT INTO rec_key (file) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 2 FROM n WHERE i < ${count - 2}) ` +
        "SELECT 'keys/' || (1000000 + i) FROM n",
    )
    await dataSource.query("CREATE INDEX rec_key_file ON rec_key (NULLIF(file, ''))")
    let found = 0
    let held = 0
    for await (const finding of reconcile(dataSource)) {
      if (finding.type === 'summary') {
        expect(finding).toMatchObject({ objects: count, files: count / 2, orphans: count / 2, dangling: 0 })
        continue
      }
      held = Math.max(held, listed / 2 - found++)
    }
    await dataSource.destroy()
    expect(found).toBe(count / 2)
    expect(held).toBeLessThanOrEqual(1001)
  })

  it('refuses a DataSource without file fields', async () => {
    const dataSource = await new DataSource({ type: 'sqljs', entities: [] }).initialize()
    await expect(collect(dataSource)).rejects.toMatchObject({ code: 'unknown-field' })
    await dataSource.destroy()
  })

  it('refuses a database of an unknown kind', async () => {
    const dataSource = await new DataSource({ type: 'sqljs', entities: [RecJson] }).initialize()
    dataSource.setOptions({ type: 'oracle' } as never)
    await expect(collect(dataSource)).rejects.toMatchObject({ code: 'unknown-layout' })
  })
})

function bound(target: object, property: string | symbol): unknown {
  const value = Reflect.get(target, property, target)
  return typeof value === 'function' ? value.bind(target) : value
}

function objectsOf(memory: MemoryStorage) {
  return [...memory.objects].map(([key, { size }]) => ({ key, size }))
}
