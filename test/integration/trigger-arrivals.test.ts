import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EntityManager, QueryRunner } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { createFileTriggers, dropFileTriggers } from '../../src/orm/file-triggers.ts'
import { LifecycleWorld, settingsWithJournal } from '../support/lifecycle-world.ts'
import { ArchivedFile, archive, ListWay, ways } from '../support/trigger-entities.ts'
import type { Way } from '../support/way-entities.ts'

const leaseEnd = () => new Date(Date.now() + 60_000).toISOString()

describe.each(settingsWithJournal)('on $name', ({ database, hasJournal }) => {
  const entities = [...ways, ListWay, ArchivedFile]
  const dialect = database.name === 'MariaDB' ? 'mysql' : database.name === 'SQLite' ? 'sqlite' : 'postgres'
  let world: LifecycleWorld
  beforeAll(async () => {
    world = await LifecycleWorld.start({ database, hasJournal, entities })
    configureStorages({ default: world.s3.storage, [archive]: world.s3.newStorage() })
    for (const entity of entities) await onRunner((runner) => createFileTriggers(runner, entity))
  })
  afterAll(async () => {
    for (const entity of entities) await onRunner((runner) => dropFileTriggers(runner, entity))
    await world.stop()
  })
  afterEach(() => world.clear())

  const onRunner = async (work: (runner: QueryRunner) => Promise<unknown>) => {
    const runner = world.dataSource.createQueryRunner()
    await work(runner).finally(() => runner.release())
  }
  const quoted = (name: string) => world.dataSource.driver.escape(name)
  const table = (Class: new () => object) => quoted(world.dataSource.getMetadata(Class).tableName)
  const columnsOf = (Class: new () => object) =>
    world.dataSource
      .getMetadata(Class)
      .columns.filter(({ propertyPath }) => propertyPath.startsWith('file'))
      .map(({ databaseName }) => quoted(databaseName))
  /** All columns of a file, set to an expression of each. */
  const set = (Class: new () => object, to: (name: string) => string) =>
    columnsOf(Class)
      .map((name) => `${name} = ${to(name)}`)
      .join(', ')
  const saved = <Row extends Way>(Class: new () => Row, title: string, file: S3File | null) =>
    world.manager.save(Object.assign(new Class(), { title, file } as Partial<Row>))
  const named = (Class: new () => Way, title: string) =>
    world.manager.findOneByOrFail(Class, { title }).then(({ file }) => file?.name ?? null)
  const entriesOf = (file: S3File, manager = world.manager) =>
    manager.findBy(FileJournalEntry, { key: file.key })
  const claim = (file: S3File) =>
    world.manager.update(
      FileJournalEntry,
      { key: file.key },
      { claimedUntil: leaseEnd(), claimedBy: 'janitor' },
    )
  /** After a janitor has worked on all that the statements left, the bucket has what the rows refer to. */
  const expectTruth = async (...files: S3File[]) => {
    await world.workOffJournal()
    await world.expectTruth()
    expect((await world.s3.keys()).sort()).toEqual(
      files.map(({ key }) => key.slice(world.s3.prefix.length)).sort(),
    )
  }

  describe.each(ways.map((Class) => [Class.name, Class] as const))('%s', (_, Class) => {
    it('a file that two statements move from one row to another stays', async () => {
      const file = await world.upload('a')
      await saved(Class, 'from', file)
      await saved(Class, 'to', null)
      const names = columnsOf(Class)
      const taken = names.map((name, index) => `${name} AS c${index}`).join(', ')
      await world.dataSource.query(
        `CREATE TABLE moved AS SELECT ${taken} FROM ${table(Class)} WHERE title = 'from'`,
      )
      await world.manager.query(`UPDATE ${table(Class)} SET ${set(Class, () => 'NULL')} WHERE title = 'from'`)
      expect(await entriesOf(file)).toHaveLength(1)
      const source = (name: string) => `(SELECT c${names.indexOf(name)} FROM moved)`
      await world.manager.query(`UPDATE ${table(Class)} SET ${set(Class, source)} WHERE title = 'to'`)
      await world.dataSource.query('DROP TABLE moved')
      expect(await entriesOf(file)).toEqual([])
      expect(await named(Class, 'to')).toBe('a.txt')
      await expectTruth(file)
    })

    // SQLite sees rows that the statement has changed already.
    it.skipIf(dialect === 'sqlite')('a statement that swaps the files of two rows keeps both', async () => {
      const [a, b] = [await world.upload('a'), await world.upload('b')]
      await saved(Class, 'a', a)
      await saved(Class, 'b', b)
      const other = (name: string) =>
        `(SELECT o.${name} FROM (SELECT * FROM ${table(Class)}) o WHERE o.title <> ${table(Class)}.title)`
      await world.manager.query(`UPDATE ${table(Class)} SET ${set(Class, other)}`)
      expect([await named(Class, 'a'), await named(Class, 'b')]).toEqual(['b.txt', 'a.txt'])
      await expectTruth(a, b)
    })

    it('a statement that shifts files from row to row deletes the one that none has any more', async () => {
      const files = [await world.upload('a'), await world.upload('b'), await world.upload('c')]
      for (const [index, file] of files.entries()) await saved(Class, String(index), file)
      const next = (name: string) =>
        `(SELECT o.${name} FROM (SELECT * FROM ${table(Class)}) o WHERE o.id = ${table(Class)}.id + 1)`
      await world.manager.query(`UPDATE ${table(Class)} SET ${set(Class, next)}`)
      expect([await named(Class, '0'), await named(Class, '1'), await named(Class, '2')]).toEqual([
        'b.txt',
        'c.txt',
        null,
      ])
      await expectTruth(...files.slice(1))
    })

    it('a statement that copies a file onto its own row changes nothing', async () => {
      const file = await world.upload('a')
      await saved(Class, 'a', file)
      await world.manager.query(`UPDATE ${table(Class)} SET ${set(Class, (name) => name)}`)
      expect(await world.entries()).toEqual([])
      await expectTruth(file)
    })

    it('an INSERT of many rows takes the uploads of all of them', async () => {
      const files = [await world.upload('a'), await world.upload('b')]
      const [a, b] = files as [S3File, S3File]
      await world.manager.insert(Class, [
        { title: 'a', file: a },
        { title: 'b', file: b },
        { title: 'a again', file: a },
        { title: 'none', file: null },
      ] as never)
      expect(await world.entries()).toEqual([])
      await expectTruth(a, b)
    })

    it('an upsert that meets a row deletes the old file and takes the new one', async () => {
      const [a, b, c] = [await world.upload('a'), await world.upload('b'), await world.upload('c')]
      await saved(Class, 'same', a)
      await world.manager.upsert(
        Class,
        [
          { title: 'same', file: b },
          { title: 'other', file: c },
        ] as never,
        ['title'],
      )
      expect([await named(Class, 'same'), await named(Class, 'other')]).toEqual(['b.txt', 'c.txt'])
      expect((await world.entries()).map(({ key }) => key)).toEqual([a.key])
      await expectTruth(b, c)
    })

    it('an INSERT that is ignored leaves its upload pending', async () => {
      const [a, b] = [await world.upload('a'), await world.upload('b')]
      await saved(Class, 'same', a)
      await world.manager
        .createQueryBuilder()
        .insert()
        .into(Class)
        .values({ title: 'same', file: b } as never)
        .orIgnore()
        .execute()
      expect((await world.entries()).map(({ key }) => key)).toEqual([b.key])
      await expectTruth(a)
    })

    it.runIf(dialect !== 'postgres')('REPLACE of a row by itself keeps its file', async () => {
      const file = await world.upload('a')
      await saved(Class, 'same', file)
      const names = ['id', 'title', ...columnsOf(Class)].join(', ')
      await world.manager.query(
        `REPLACE INTO ${table(Class)} (${names}) SELECT ${names} FROM ${table(Class)}`,
      )
      expect(await world.entries()).toEqual([])
      await expectTruth(file)
    })

    it('a statement that is rolled back gives the entry of its upload back', async () => {
      const file = await world.upload('a')
      const row = await saved(Class, 'a', null)
      const metadata = world.dataSource.getMetadata(Class)
      await world.manager
        .transaction(async (manager) => {
          await manager
            .createQueryBuilder()
            .update(Class)
            .set({ file } as never)
            .whereInIds(row.id)
            .execute()
          expect(await entriesOf(file, manager)).toEqual([])
          throw new Error(`undo ${metadata.name}`)
        })
        .catch(() => undefined)
      await filesSettled()
      await expectTruth()
    })

    it.runIf(database.isServer)(
      'a statement that waits for a janitor is refused when that takes the object',
      async () => {
        const source = await saved(Class, 'source', await world.upload('a'))
        const file = source.file as S3File
        await saved(Class, 'target', null)
        const later = { reason: 'release', storage: 'default', key: file.key, attempts: 0 } as const
        await world.manager.insert(FileJournalEntry, {
          ...later,
          id: 'x',
          since: leaseEnd(),
          dueAt: leaseEnd(),
        })
        let copied: Promise<unknown> = Promise.resolve()
        await world.manager.transaction('READ COMMITTED', async (janitor) => {
          await janitor.update(
            FileJournalEntry,
            { id: 'x' },
            { claimedUntil: leaseEnd(), claimedBy: 'janitor' },
          )
          copied = world.manager
            .query(
              `INSERT INTO ${table(Class)} (${columnsOf(Class)}) SELECT ${columnsOf(Class)} FROM ${table(Class)} WHERE title = 'source'`,
            )
            .then(
              () => 'accepted',
              (error: Error) => error.message,
            )
          await sleep(200)
        })
        expect(await copied).toContain('s3file: an object of this statement is being deleted')
        await world.manager.delete(FileJournalEntry, { id: 'x' })
        await expectTruth(file)
      },
    )

    it.runIf(database.isServer)(
      'a janitor does not take the entry of an upload that an open statement has taken',
      async () => {
        const file = await world.upload('a')
        const row = await saved(Class, 'a', null)
        await world.age(10 * 86_400) // It is due.
        await world.manager.transaction(async (manager) => {
          await manager
            .createQueryBuilder()
            .update(Class)
            .set({ file } as never)
            .whereInIds(row.id)
            .execute()
          await world.janitor()
          expect(await file.exists()).toBe(true)
        })
        await expectTruth(file)
      },
    )

    it.runIf(database.isServer)(
      'an open transaction that has written files keeps no upload waiting',
      async () => {
        const files: S3File[] = []
        for (let round = 0; round < 4; round++) {
          await filesSettled()
          // The emptier the journal, the more of it a look that locks what is not there would lock.
          await world.manager.query('TRUNCATE TABLE file_journal')
          const row = await saved(Class, `row ${round}`, await world.upload('old'))
          const [inserted, updated] = [await world.upload('inserted'), await world.upload('updated')]
          files.push(inserted, updated)
          await world.manager.transaction(async (manager) => {
            await manager.insert(Class, { file: inserted } as never)
            await manager.update(Class, row.id, { file: updated } as never)
            const uploads = Promise.all(['x', 'y', 'z'].map((text) => world.upload(text)))
            const first = await Promise.race([uploads, sleep(2000, 'blocked')])
            expect(first).not.toBe('blocked')
            for (const file of await uploads) await file.discard()
          })
          await world.workOffJournal()
        }
        await expectTruth(...files)
      },
    )
  })

  it('an element that moves from list to list stays, and one that is new is pending no more', async () => {
    const [a, b, c] = [await world.upload('a'), await world.upload('b'), await world.upload('c')]
    const first = await world.saved(ListWay, { title: '1', files: [a, b] })
    const second = await world.saved(ListWay, { title: '2', files: null })
    await world.manager.transaction(async (manager) => {
      await setList(manager, first.id, [b])
      expect(await entriesOf(a, manager)).toHaveLength(1)
      await setList(manager, second.id, [c, a])
      expect([...(await entriesOf(a, manager)), ...(await entriesOf(c, manager))]).toEqual([])
    })
    await expectTruth(a, b, c)
  })

  it('a list with an element that is being deleted is refused', async () => {
    const [a, b] = [await world.upload('a'), await world.upload('b')]
    const { id } = await world.saved(ListWay, { title: '1', files: [a] })
    await claim(b)
    await expect(setList(world.manager, id, [a, b])).rejects.toThrow(
      's3file: an object of this statement is being deleted; upload the file anew',
    )
    await world.manager.update(FileJournalEntry, { key: b.key }, { claimedUntil: null, claimedBy: null })
    await expectTruth(a)
  })

  it.each(['save', 'update'] as const)(
    'a file of another row is refused by its code while a janitor looks at its object: %s',
    async (way) => {
      const file = await world.upload('a')
      const [Class] = ways
      await saved(Class, 'from', file)
      const to = await saved(Class, 'to', null)
      const now = new Date().toISOString()
      await world.manager.insert(FileJournalEntry, {
        id: randomUUID(),
        reason: 'release',
        storage: file.storage,
        key: file.key,
        since: now,
        dueAt: leaseEnd(),
        attempts: 0,
        claimedUntil: leaseEnd(),
        claimedBy: 'janitor',
      })
      const write =
        way === 'save'
          ? world.manager.save(Object.assign(to, { file }))
          : world.manager.update(Class, to.id, { file })
      await expect(write).rejects.toMatchObject({ code: 'file-gone', statusCode: 409 })
      await world.manager.update(
        FileJournalEntry,
        { key: file.key },
        { claimedUntil: null, claimedBy: null, dueAt: now },
      )
      expect(await named(Class, 'to')).toBe(null)
      await expectTruth(file)
    },
  )

  /** By raw SQL: TypeORM's own statements look for the files themselves. */
  async function setList(manager: EntityManager, id: number, files: S3File[]): Promise<void> {
    const records = JSON.stringify(files.map((file) => file.toRecord()))
    const sql = `UPDATE ${table(ListWay)} SET files = :records WHERE id = :id`
    await world.query(sql, { records, id }, manager)
  }

  it('an upload to a storage of any name is pending no more', async () => {
    const file = await world.upload('a', { storage: archive })
    expect(await entriesOf(file)).toHaveLength(1)
    await world.query(`INSERT INTO ${table(ArchivedFile)} (file) VALUES (:key)`, { key: file.key })
    expect(await entriesOf(file)).toEqual([])
    await expectTruth(file)
  })

  it.runIf(dialect === 'mysql')('a statement reads few entries of a large journal', async () => {
    await world.manager.query('SET SESSION max_recursive_iterations = 20000')
    const until = leaseEnd()
    await onRunner((runner) =>
      runner.query(
        'INSERT INTO file_journal (id, reason, storage, `key`, since, dueAt, attempts) WITH RECURSIVE n(i) AS ' +
          `(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT UUID(), 'release', 'default', CONCAT('many/', i), '${until}', '${until}', 0 FROM n`,
      ),
    )
    const reads = async (runner: QueryRunner) => {
      const rows = await runner.query("SHOW SESSION STATUS LIKE 'Handler_read%'")
      return rows.reduce((sum: number, row: { Value: string }) => sum + Number(row.Value), 0)
    }
    for (const Class of ways) {
      const file = await world.upload('a')
      const row = await saved(Class, 'a', file)
      await onRunner(async (runner) => {
        const before = await reads(runner)
        const copy = `INSERT INTO ${table(Class)} (${columnsOf(Class)}) SELECT ${columnsOf(Class)} FROM ${table(Class)} WHERE id = ${row.id}`
        await runner.query(copy)
        expect([Class.name, (await reads(runner)) - before < 200]).toEqual([Class.name, true])
      })
    }
    await world.manager
      .createQueryBuilder()
      .delete()
      .from(FileJournalEntry)
      .where('`key` LIKE :many', { many: 'many/%' })
      .execute()
  })
})
