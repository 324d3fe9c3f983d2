import { DataSource, DefaultNamingStrategy, type QueryRunner } from 'typeorm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { fileColumnsOfTable } from '../../src/orm/file-columns.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { dialectOf, tableName } from '../../src/orm/file-sql.ts'
import { createFileTriggers, dropFileTriggers, fileTriggers } from '../../src/orm/file-triggers.ts'
import { hasTriggers } from '../../src/orm/installed-triggers.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { databasesOfRun } from '../support/database.ts'
import { InJson } from '../support/entities.ts'
import { errorOf } from '../support/error-of.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'
import {
  WatchedBook,
  WatchedColumns,
  WatchedFolder,
  WatchedJson,
  WatchedJsonb,
  WatchedJsonbList,
  WatchedKept,
  WatchedKey,
  WatchedLeaf,
  WatchedList,
  WatchedMedium,
  WatchedPage,
  WatchedPair,
  WatchedPhoto,
  WatchedShelf,
  WatchedSong,
  WatchedText,
  WatchedTextList,
  watched,
  watchedJsonb,
} from '../support/trigger-entities.ts'
import { isTypeorm03 } from '../support/typeorm-version.ts'

type Class<Entity> = new () => Entity

const isMysql = inject('servers').databaseUrl.startsWith('mysql')

describe.each(databasesOfRun())('on %s', (name) => {
  const url = name === 'SQLite' ? 'sqljs://memory' : inject('servers').databaseUrl
  const withJsonb = name === 'SQLite' ? !isTypeorm03 : !isMysql
  const entities = [...watched, WatchedMedium, WatchedSong, ...(withJsonb ? watchedJsonb : [])]
  const withTriggers = entities.filter((entity) => entity !== WatchedBook && entity !== WatchedSong)
  let world: S3World
  let dataSource: DataSource

  beforeAll(async () => {
    world = await S3World.start()
    dataSource = new DataSource({
      ...dataSourceOptions(url),
      entities: [...entities, InJson, FileJournalEntry],
      subscribers: [S3FileSubscriber],
    } as ConstructorParameters<typeof DataSource>[0])
    await dataSource.initialize()
    if (dialectOf(dataSource) === 'postgres') {
      await dataSource.query('CREATE SCHEMA IF NOT EXISTS s3file_elsewhere')
    }
    await dataSource.synchronize(true)
    await onRunner(async (own) => {
      for (const entity of withTriggers) await createFileTriggers(own, entity)
    })
  })
  afterAll(async () => {
    await onRunner(async (own) => {
      for (const entity of withTriggers) await dropFileTriggers(own, entity)
      if (dialectOf(dataSource) === 'postgres') await own.query('DROP SCHEMA s3file_elsewhere CASCADE')
    })
    expect(await leftInDatabase()).toEqual([])
    await dataSource.destroy()
    await world.stop()
  })
  beforeEach(() => dataSource.getRepository(FileJournalEntry).clear())
  afterEach(async () => {
    await filesSettled()
    for (const entity of entities) await dataSource.query(`DELETE FROM ${table(entity)}`)
    await world.clear()
  })

  const onRunner = async (work: (own: QueryRunner) => Promise<void>) => {
    const runner = dataSource.createQueryRunner()
    try {
      await work(runner)
    } finally {
      await runner.release()
    }
  }
  const table = (entity: Class<unknown>) => tableName(dataSource, dataSource.getMetadata(entity))
  const column = (entity: Class<unknown>, index = 0) => {
    const columns = fileColumnsOfTable(dataSource, dataSource.getMetadata(entity))
    return dataSource.driver.escape(columns[index]?.column.databaseName as string)
  }
  const upload = (text: string) =>
    uploadFromStream(Buffer.from(text), { name: `${text}.txt`, contentType: 'text/plain' })
  const uploads = (...texts: string[]) => Promise.all(texts.map(upload)) as Promise<Four>
  const saved = async <Entity extends object>(entity: Class<Entity>, values: Partial<Entity>) =>
    dataSource.manager.save(Object.assign(new entity(), values))
  const released = async () => {
    const entries = await dataSource.getRepository(FileJournalEntry).findBy({ reason: 'release' })
    return [...new Set(entries.map(({ key }) => key))].sort()
  }
  const keysOf = (...files: S3File[]) => files.map(({ key }) => key).sort()
  /** After the janitor, those of the files whose objects are there. */
  const left = async (...files: S3File[]) => {
    await filesSettled()
    expect(await new FileJanitor(dataSource).runOnce()).toMatchObject({ failed: 0 })
    expect(await released()).toEqual([])
    const there = await Promise.all(files.map((file) => file.exists()))
    return files.filter((_, index) => there[index]).map((file) => file.name)
  }
  const leftInDatabase = (
    own: Pick<DataSource, 'query'> | QueryRunner = dataSource,
  ): Promise<{ name: string }[]> =>
    own.query(
      {
        postgres:
          "SELECT tgname AS name FROM pg_trigger WHERE tgname LIKE 's3file|_%' ESCAPE '|' UNION ALL " +
          "SELECT proname FROM pg_proc WHERE proname LIKE 's3file|_%' ESCAPE '|'",
        mysql:
          "SELECT trigger_name FROM information_schema.triggers WHERE trigger_name LIKE 's3file|_%' ESCAPE '|'",
        sqlite: "SELECT name FROM sqlite_master WHERE type = 'trigger'",
      }[dialectOf(dataSource)],
    )

  it('finds its triggers on each table, and on no other', async () => {
    await onRunner(async (own) => {
      for (const entity of entities) {
        const isThere = await hasTriggers(own, dataSource.getMetadata(entity))
        expect([entity.name, isThere]).toEqual([
          entity.name,
          entity !== WatchedBook && entity !== WatchedKept,
        ])
      }
    })
  })

  describe.each(
    [WatchedJson, WatchedText, WatchedColumns, WatchedKey, ...(withJsonb ? [WatchedJsonb] : [])].map(
      (entity) => ({ name: entity.name, entity: entity as Class<WatchedJson> }),
    ),
  )('of $name', ({ entity }) => {
    it('deletes what update() and the query builder replace', async () => {
      const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
      const [first, second] = [await saved(entity, { file: a }), await saved(entity, { file: b })]
      await dataSource.manager.update(entity, first.id, { file: c })
      await dataSource.createQueryBuilder().update(entity).set({ file: d }).where({ id: second.id }).execute()
      expect(await released()).toEqual(keysOf(a, b))
      expect(await left(a, b, c, d)).toEqual(['c.txt', 'd.txt'])
    })

    it('deletes what delete(), the query builder and raw SQL clear or remove', async () => {
      const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
      const first = await saved(entity, { file: a, title: '1' })
      await saved(entity, { file: b, title: '2' })
      await saved(entity, { file: c, title: '3' })
      await saved(entity, { file: d, title: '4' })
      await dataSource.manager.delete(entity, first.id)
      await dataSource.createQueryBuilder().delete().from(entity).where({ title: '2' }).execute()
      await dataSource.query(`UPDATE ${table(entity)} SET ${column(entity)} = NULL WHERE title = '3'`)
      await dataSource.query(`DELETE FROM ${table(entity)} WHERE title = '3'`)
      expect(await released()).toEqual(keysOf(a, b, c))
      expect(await left(a, b, c, d)).toEqual(['d.txt'])
    })

    it('keeps all objects when bulk statements are rolled back', async () => {
      const [a, b, c] = await uploads('a', 'b', 'c')
      for (const file of [a, b]) await saved(entity, { file })
      await dataSource
        .transaction(async (manager) => {
          await manager.createQueryBuilder().update(entity).set({ file: null }).execute()
          await manager.query(`UPDATE ${table(entity)} SET ${column(entity)} = NULL`)
          await manager.query(`DELETE FROM ${table(entity)}`)
          throw new Error('no')
        })
        .catch(() => undefined)
      expect(await released()).toEqual([])
      expect(await left(a, b, c)).toEqual(['a.txt', 'b.txt', 'c.txt'])
    })

    it('notes nothing where a file stays what it was', async () => {
      const [file] = await uploads('a')
      const { id } = await saved(entity, { file })
      await saved(entity, { file: null })
      await dataSource.manager.update(entity, id, { title: 'new' })
      await dataSource.manager.update(entity, id, { file })
      await dataSource.query(`UPDATE ${table(entity)} SET ${column(entity)} = ${column(entity)}`)
      await dataSource.manager.softDelete(entity, id)
      await dataSource.query(`DELETE FROM ${table(entity)} WHERE ${column(entity)} IS NULL`)
      expect(await released()).toEqual([])
      expect(await left(file)).toEqual(['a.txt'])
    })

    it('keeps what another row refers to, until that lets it go', async () => {
      const [file] = await uploads('a')
      const { id } = await saved(entity, { file })
      const page = await saved(WatchedPage, { notes: [file] })
      await dataSource.manager.delete(WatchedPage, page.id)
      expect(await left(file)).toEqual(['a.txt'])
      await saved(WatchedPage, { text: file })
      await dataSource.manager.delete(entity, id)
      expect(await released()).toEqual([file.key])
      expect(await left(file)).toEqual(['a.txt'])
    })

    it('deletes what upsert() replaces', async () => {
      const [a, b] = await uploads('a', 'b')
      await saved(entity, { file: a, title: 'same' })
      await dataSource.manager.upsert(entity, { file: b, title: 'same' }, ['title'])
      expect(await left(a, b)).toEqual(['b.txt'])
    })

    it('writes one entry for what save() and remove() let go, and settles it at once', async () => {
      const [a, b] = await uploads('a', 'b')
      const row = await saved(entity, { file: a })
      await dataSource.transaction(async (manager) => {
        row.file = b
        await manager.save(row)
        expect(await manager.findBy(FileJournalEntry, { reason: 'release' })).toHaveLength(1)
      })
      await filesSettled()
      expect([await a.exists(), await b.exists()]).toEqual([false, true])
      await dataSource.transaction(async (manager) => {
        await manager.remove(row)
        expect(await manager.findBy(FileJournalEntry, { reason: 'release' })).toHaveLength(1)
      })
      await filesSettled()
      expect(await b.exists()).toBe(false)
      expect(await released()).toEqual([])
    })

    it.runIf(url.startsWith('postgres'))('deletes what TRUNCATE removes', async () => {
      const [a, b, c] = await uploads('a', 'b', 'c')
      for (const file of [a, b, null]) await saved(entity, { file })
      await dataSource
        .transaction(async (manager) => {
          await manager.clear(entity)
          throw new Error('no')
        })
        .catch(() => undefined)
      expect(await released()).toEqual([])
      await dataSource.getRepository(entity).clear()
      expect(await left(a, b, c)).toEqual(['c.txt'])
    })
  })

  describe.each(
    [WatchedList, WatchedTextList, ...(withJsonb ? [WatchedJsonbList] : [])].map((entity) => ({
      name: entity.name,
      entity: entity as Class<WatchedList>,
    })),
  )('of $name', ({ entity }) => {
    it('deletes the files that went from the list, and no others', async () => {
      const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
      const { id } = await saved(entity, { files: [a, b, b, c] })
      await dataSource.manager.update(entity, id, { files: [d, c] })
      expect(await released()).toEqual(keysOf(a, b))
      expect(await left(a, b, c, d)).toEqual(['c.txt', 'd.txt'])
      await dataSource.manager.update(entity, id, { files: [c, d] })
      expect(await released()).toEqual([])
    })

    it('deletes all of a list that is cleared or whose row goes', async () => {
      const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
      const first = await saved(entity, { files: [a, b] })
      await saved(entity, { files: [c] })
      await saved(entity, { files: null })
      await saved(entity, { files: [] })
      await dataSource.query(`UPDATE ${table(entity)} SET ${column(entity)} = NULL WHERE id = ${first.id}`)
      expect(await released()).toEqual(keysOf(a, b))
      await dataSource.query(`DELETE FROM ${table(entity)}`)
      expect(await left(a, b, c, d)).toEqual(['d.txt'])
    })

    it('keeps what another row has in its list', async () => {
      const [a, b] = await uploads('a', 'b')
      await saved(entity, { files: [a, b] })
      const page = await saved(WatchedPage, { notes: [a, b] })
      await dataSource.manager.delete(WatchedPage, page.id)
      expect(await released()).toEqual(keysOf(a, b))
      expect(await left(a, b)).toEqual(['a.txt', 'b.txt'])
    })

    it('takes a single record for a list of one, and anything else for none', async () => {
      const [a, b] = await uploads('a', 'b')
      const { id } = await saved(entity, { files: [a, b] })
      const set = (json: unknown) =>
        dataSource.query(
          `UPDATE ${table(entity)} SET ${column(entity)} = ${dialectOf(dataSource) === 'sqlite' && entity === WatchedJsonbList ? 'jsonb' : ''}('${JSON.stringify(json)}') WHERE id = ${id}`,
        )
      await set(a.toRecord())
      await dataSource.manager.delete(WatchedPage, (await saved(WatchedPage, { scan: a })).id)
      expect(await released()).toEqual(keysOf(a, b))
      expect(await left(a, b)).toEqual(['a.txt'])
      for (const json of [['x', 1, null, {}, { key: 1 }], 'x', 1, null, {}]) await set(json)
      expect(await left(a, b)).toEqual([])
    })
  })

  it('survives texts that are no JSON', async () => {
    const [a, b] = await uploads('a', 'b')
    const { id } = await saved(WatchedText, { file: a })
    const other = await saved(WatchedTextList, { files: [b] })
    for (const text of ['{"key": "', '[{', '', 'x', '{}', '  {"key": 1}']) {
      await dataSource.query(
        `UPDATE ${table(WatchedText)} SET ${column(WatchedText)} = '${text}' WHERE id = ${id}`,
      )
      await dataSource.query(
        `UPDATE ${table(WatchedTextList)} SET ${column(WatchedTextList)} = '${text}' WHERE id = ${other.id}`,
      )
    }
    expect(await released()).toEqual(keysOf(a, b))
    await dataSource.query(`DELETE FROM ${table(WatchedText)}`)
    await dataSource.query(`DELETE FROM ${table(WatchedTextList)}`)
    expect(await left(a, b)).toEqual([])
  })

  it('reads records with white space before them', async () => {
    const [a, b] = await uploads('a', 'b')
    const { id } = await saved(WatchedText, { file: a })
    const list = await saved(WatchedTextList, { files: [b] })
    await dataSource.query(
      `UPDATE ${table(WatchedText)} SET ${column(WatchedText)} = '\n ${JSON.stringify(a.toRecord())}' WHERE id = ${id}`,
    )
    await dataSource.query(
      `UPDATE ${table(WatchedTextList)} SET ${column(WatchedTextList)} = ' \n ${JSON.stringify([b.toRecord()])}' WHERE id = ${list.id}`,
    )
    const page = await saved(WatchedPage, { scan: a, text: b })
    expect(await released()).toEqual([])
    await dataSource.manager.delete(WatchedPage, page.id)
    expect(await left(a, b)).toEqual(['a.txt', 'b.txt'])
  })

  it('tells keys apart that a collation does not', async () => {
    for (const entity of [WatchedKey, WatchedColumns]) {
      const { id } = await saved(entity as Class<WatchedKey>, { file: null })
      const set = (key: string) =>
        dataSource.query(`UPDATE ${table(entity)} SET ${column(entity)} = '${key}' WHERE id = ${id}`)
      await set('a/Ä b')
      await set('a/ä b')
      await set('a/ä b ')
      expect(await released()).toEqual(['a/Ä b', 'a/ä b'])
      await dataSource.getRepository(FileJournalEntry).clear()
    }
  })

  it('writes entries as the journal itself does', async () => {
    const [a] = await uploads('a')
    const { id } = await saved(WatchedJson, { file: a })
    const before = new Date().toISOString()
    await dataSource.manager.delete(WatchedJson, id)
    const [entry] = await dataSource.getRepository(FileJournalEntry).find()
    expect(entry).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{32,36}$/),
      reason: 'release',
      storage: 'default',
      key: a.key,
      uploadId: null,
      since: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      dueAt: entry?.since,
      claimedUntil: null,
      claimedBy: null,
      attempts: 0,
      lastError: null,
      ticket: null,
      owner: null,
      declaredBytes: null,
      state: null,
    })
    expect(Math.abs(Date.parse(entry?.since as string) - Date.parse(before))).toBeLessThan(5000)
  })

  it('leaves to their owners what a field says is to be kept', async () => {
    const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
    const pair = await saved(WatchedPair, { archived: a, handedOn: b })
    await dataSource.manager.update(WatchedPair, pair.id, { archived: c, handedOn: d })
    expect(await released()).toEqual([b.key])
    await dataSource.manager.delete(WatchedPair, pair.id)
    expect(await left(a, b, c, d)).toEqual(['a.txt', 'd.txt'])
    await saved(WatchedKept, { file: a })
    await dataSource.manager.updateAll(WatchedKept, { file: d })
    await dataSource.manager.deleteAll(WatchedKept)
    expect(await released()).toEqual([])
  })

  it('does not let go what has moved to another column of the row', async () => {
    const [a, b] = await uploads('a', 'b')
    const { id } = await saved(WatchedPage, { scan: a, text: b })
    await dataSource.manager.update(WatchedPage, id, { scan: null, text: a, notes: [b] })
    expect(await released()).toEqual([])
    expect(await left(a, b)).toEqual(['a.txt', 'b.txt'])
  })

  it('knows the files of all entities that share a table', async () => {
    const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
    const [photo] = [await saved(WatchedPhoto, { photo: a }), await saved(WatchedSong, { song: b })]
    await dataSource.manager.update(WatchedPhoto, photo.id, { photo: c })
    await dataSource.manager.update(WatchedMedium, photo.id, { title: 'new' })
    expect(await released()).toEqual([a.key])
    await dataSource.manager.deleteAll(WatchedMedium)
    expect(await left(a, b, c, d)).toEqual(['d.txt'])
  })

  it('deletes what ON DELETE CASCADE takes along, two tables deep', async () => {
    const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
    const [e, f] = await uploads('e', 'f')
    const shelves = []
    for (const number of [1, 2]) {
      const shelf = await saved(WatchedShelf, { room: 'A', number, plan: number === 1 ? a : b })
      const book = await saved(WatchedBook, { shelf })
      shelves.push({ shelf, book })
      if (number === 1) await saved(WatchedPage, { book, scan: c, text: d, notes: [e] })
      else await saved(WatchedPage, { book, scan: f })
    }
    const removal = () => dataSource.query(`DELETE FROM ${table(WatchedShelf)} WHERE number = 1`)
    await dataSource
      .transaction(async (manager) => {
        await manager.query(`DELETE FROM ${table(WatchedShelf)}`)
        expect(await manager.findBy(FileJournalEntry, { reason: 'release' })).toHaveLength(6)
        throw new Error('no')
      })
      .catch(() => undefined)
    expect(await released()).toEqual([])
    await removal()
    expect(await released()).toEqual(keysOf(a, c, d, e))
    expect(await left(a, b, c, d, e, f)).toEqual(['b.txt', 'f.txt'])
    await dataSource.manager.deleteAll(WatchedBook)
    expect(await left(b, f)).toEqual(['b.txt'])
  })

  it('deletes what a row of a tree takes along, however deep', async () => {
    const [a, b, c, d] = await uploads('a', 'b', 'c', 'd')
    const [e, f] = await uploads('e', 'f')
    const root = await saved(WatchedFolder, { id: 1, icon: a })
    const below = await saved(WatchedFolder, { id: 2, parent: root, icon: b })
    const deep = await saved(WatchedFolder, { id: 3, parent: below, icon: c })
    const other = await saved(WatchedFolder, { id: 4, icon: d })
    await saved(WatchedLeaf, { id: 1, folder: deep, file: e })
    await saved(WatchedLeaf, { id: 2, folder: other, file: f })
    await dataSource.manager.delete(WatchedFolder, root.id)
    expect(await released()).toEqual(keysOf(a, b, c, e))
    expect(await left(a, b, c, d, e, f)).toEqual(['d.txt', 'f.txt'])
  })

  it('warns of bulk statements once, and only where something is left behind', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const warnings = () =>
      warn.mock.calls.filter(([, options]) => (options as { code?: string }).code === 'S3FILE_BULK_WRITE')
    const [a, b, c] = await uploads('a', 'b', 'c')
    await saved(InJson, { file: a })
    await saved(WatchedJson, { file: b })
    await saved(WatchedKept, { file: c })
    await dataSource.manager.updateAll(WatchedJson, { file: null })
    await dataSource.manager.updateAll(WatchedKept, { file: null })
    await dataSource.manager.deleteAll(WatchedKept)
    expect(warnings()).toEqual([])
    await dataSource.manager.updateAll(InJson, { file: null })
    await dataSource.manager.deleteAll(InJson)
    expect(warnings()).toEqual([[expect.stringContaining('InJson'), expect.anything()]])
    warn.mockRestore()
  })

  it.runIf(url.startsWith('postgres'))('works for a session that looks for names elsewhere', async () => {
    const [a, b] = await uploads('a', 'b')
    await saved(WatchedJson, { file: a })
    await saved(WatchedText, { file: b })
    const [{ schema }] = await dataSource.query('SELECT current_schema() AS schema')
    await dataSource.transaction(async (manager) => {
      await manager.query('SET LOCAL search_path TO pg_catalog')
      for (const entity of [WatchedJson, WatchedText]) {
        await manager.query(`UPDATE "${schema}".${table(entity)} SET ${column(entity)} = NULL`)
      }
    })
    expect(await released()).toEqual(keysOf(a, b))
    expect(await left(a, b)).toEqual([])
  })

  it('drops everything it made, and makes it again', async () => {
    const [a, b] = await uploads('a', 'b')
    const { id } = await saved(WatchedPage, { scan: a })
    await onRunner(async (own) => {
      const before = await leftInDatabase(own)
      expect(await hasTriggers(own, dataSource.getMetadata(WatchedPage))).toBe(true)
      for (const statement of fileTriggers(dataSource, WatchedPage).down) await own.query(statement)
      const remaining = await leftInDatabase(own)
      expect(JSON.stringify(remaining)).not.toContain('watched_page')
      expect(remaining.length).toBeLessThan(before.length)
      await createFileTriggers(own, WatchedPage)
      await createFileTriggers(own, WatchedPage)
      expect(await leftInDatabase(own)).toHaveLength(before.length)
      await dropFileTriggers(own, WatchedPage)
      expect(await hasTriggers(own, dataSource.getMetadata(WatchedPage))).toBe(false)
      await createFileTriggers(own, WatchedPage)
    })
    await dataSource.manager.update(WatchedPage, id, { scan: b })
    expect(await left(a, b)).toEqual(['b.txt'])
  })

  it.runIf(url.startsWith('mysql'))('drops what was made for a foreign key that is gone', async () => {
    await onRunner(async (own) => {
      const before = await leftInDatabase(own)
      const stray = (id: string) =>
        own.query(
          `CREATE TRIGGER s3file_cascade_watched_${id} BEFORE DELETE ON ${table(WatchedJson)} FOR EACH ROW SET @x = 1`,
        )
      await stray('page_00000000')
      await stray('pages_00000000')
      await createFileTriggers(own, WatchedPage)
      const names = (await leftInDatabase(own)).map((row) => Object.values(row)[0])
      expect(names).toHaveLength(before.length + 1)
      expect(names).toContain('s3file_cascade_watched_pages_00000000')
      await own.query('DROP TRIGGER s3file_cascade_watched_pages_00000000')
    })
  })

  it('takes the names of tables and columns from the metadata', async () => {
    class Names extends DefaultNamingStrategy {
      override columnName(property: string, custom: string | undefined, prefixes: string[]) {
        return `c ${super.columnName(property, custom as string, prefixes)}`
      }
    }
    const other = new DataSource({
      type: 'sqljs',
      entities: [WatchedColumns, WatchedJson, FileJournalEntry],
      namingStrategy: new Names(),
      entityPrefix: 'app ',
      synchronize: true,
    })
    await other.initialize()
    const own = other.createQueryRunner()
    for (const entity of [WatchedColumns, WatchedJson]) {
      await createFileTriggers(own, entity)
      // Without a subscriber, nobody looks for the object.
      const file = new S3File({ key: `${entity.name}/old`, name: 'old' })
      await other.manager.insert(entity, { file })
      await other.manager.deleteAll(entity)
    }
    const entries = await other.getRepository(FileJournalEntry).find()
    expect(entries.map(({ key }) => key).sort()).toEqual(['WatchedColumns/old', 'WatchedJson/old'])
    await own.release()
    await other.destroy()
  })

  it('refuses an entity without files and a DataSource without a journal', async () => {
    expect(errorOf(() => fileTriggers(dataSource, WatchedBook)).code).toBe('invalid-option')
    const other = new DataSource({ type: 'sqljs', entities: [WatchedJson] })
    expect(errorOf(() => fileTriggers(other, WatchedJson)).code).toBe('invalid-option')
    await other.initialize()
    expect(errorOf(() => fileTriggers(other, WatchedJson)).code).toBe('invalid-option')
    await other.destroy()
  })
})

type Four = [S3File, S3File, S3File, S3File]
