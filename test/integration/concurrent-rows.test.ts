import { DataSource, Entity, type EntityManager, PrimaryColumn, type QueryRunner } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class Album {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ nullable: true }) cover!: S3File | null
  @S3FileField({ nullable: true, multiple: true }) photos!: S3File[] | null
}

/** Lets all go on when so many have come, or, where a lock keeps some from coming, after a while. */
class Barrier {
  readonly #open: () => void
  readonly #opened: Promise<void>
  #missing: number

  constructor(count: number, longestMs: number) {
    let open = () => {}
    this.#opened = new Promise((resolve) => {
      open = resolve
    })
    this.#open = open
    this.#missing = count
    setTimeout(open, longestMs)
  }

  reach(): Promise<void> {
    if (--this.#missing === 0) this.#open()
    return this.#opened
  }
}

/** Statements that wait for another transaction's lock. */
const waiting = {
  postgres: 'SELECT FROM pg_locks WHERE NOT granted',
  mariadb: "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}

// PGlite is one session, where transactions cannot meet.
describe.skipIf(inject('servers').s3.kind === 'embedded')('transactions that meet on a row', () => {
  let world: S3World
  let dataSource: DataSource
  let other: QueryRunner
  beforeAll(async () => {
    world = await S3World.start()
    dataSource = new DataSource({
      ...dataSourceOptions(inject('servers').databaseUrl),
      extra: undefined,
      entities: [Album, FileJournalEntry],
      subscribers: [S3FileSubscriber],
      synchronize: true,
      dropSchema: true,
    } as ConstructorParameters<typeof DataSource>[0])
    await dataSource.initialize()
    other = dataSource.createQueryRunner()
  })
  afterEach(async () => {
    await filesSettled()
    await new FileJanitor(dataSource).runOnce() // For the entries that another transaction had locked.
    const albums = await dataSource.manager.find(Album)
    const entries = await dataSource.getRepository(FileJournalEntry).find()
    const keys = await world.keys()
    await dataSource.manager.clear(Album)
    await dataSource.manager.clear(FileJournalEntry)
    await world.clear()
    const files = albums.flatMap(({ cover, photos }) => [cover ?? [], photos ?? []].flat())
    expect(keys).toEqual([...new Set(files.map(({ key }) => key.slice(world.prefix.length)))].sort())
    expect(entries).toEqual([])
  })
  afterAll(async () => {
    await other.release()
    await dataSource.destroy()
    await world.stop()
  })

  const upload = (text: string) =>
    uploadFromStream(Buffer.from(text), { into: [Album, 'cover'], name: `${text}.txt` })
  const saved = (id: number, values: Partial<Album> = {}) =>
    dataSource.manager.save(dataSource.manager.create(Album, { id, ...values }))
  const loaded = (id: number) => dataSource.manager.findOneByOrFail(Album, { id })

  let lastId = 100
  const nextId = () => ++lastId

  /** Does `first` in a transaction that commits only when `second` waits for it, or is done. */
  async function meet<Result>(first: () => Promise<unknown>, second: () => Promise<Result>): Promise<Result> {
    await other.startTransaction()
    await first()
    let isDone = false
    const result = second().finally(() => {
      isDone = true
    })
    result.catch(() => undefined)
    const { type } = dataSource.options
    await vi.waitUntil(
      async () => isDone || (await dataSource.query(waiting[type as keyof typeof waiting])).length > 0,
      { timeout: 10_000, interval: 150 },
    )
    await other.commitTransaction()
    return result
  }

  it('deletes the file that came into a row while it was removed', async () => {
    const album = await saved(1)
    const cover = await upload('new')
    await meet(
      () => other.manager.save(Album, { id: 1, cover }),
      () => dataSource.manager.remove(album),
    )
  })

  it('deletes the file that came into a new row of an id that was removed', async () => {
    const album = await saved(1)
    await dataSource.manager.remove(await loaded(1))
    const cover = await upload('new')
    await meet(
      () => other.manager.save(Album, { id: 1, cover }),
      () => dataSource.manager.remove(album),
    )
  })

  it('keeps the file that was added to a list while the list was put in another order', async () => {
    await saved(1, { photos: [await upload('a'), await upload('b')] })
    const [mine, theirs] = [await loaded(1), await loaded(1)]
    theirs.photos?.push(await upload('c'))
    mine.photos?.reverse()
    await meet(
      () => other.manager.save(theirs),
      () => dataSource.manager.save(mine),
    )
    expect((await loaded(1)).photos?.map(({ name }) => name).sort()).toEqual(['a.txt', 'b.txt', 'c.txt'])
  })

  it('keeps the photos of two requests that each add one', async () => {
    await saved(1, { photos: [await upload('a')] })
    const [mine, theirs] = [await loaded(1), await loaded(1)]
    theirs.photos?.push(await upload('b'))
    mine.photos?.push(await upload('c'))
    await meet(
      () => other.manager.save(theirs),
      () => dataSource.manager.save(mine),
    )
    expect((await loaded(1)).photos?.map(({ name }) => name)).toEqual(['a.txt', 'b.txt', 'c.txt'])
    expect(mine.photos?.map(({ name }) => name)).toEqual(['a.txt', 'b.txt', 'c.txt'])
  })

  it('refuses to replace a file that came into a row after the entity was loaded', async () => {
    await saved(1, { cover: await upload('a') })
    const [mine, theirs] = [await loaded(1), await loaded(1)]
    theirs.cover = await upload('b')
    mine.cover = await upload('c')
    const save = meet(
      () => other.manager.save(theirs),
      () => dataSource.manager.save(mine),
    )
    await expect(save).rejects.toMatchObject({ code: 'file-changed', statusCode: 409 })
    expect((await loaded(1)).cover?.equals(theirs.cover)).toBe(true)
  })

  it('deletes what two rows had when they come to have the same upload', async () => {
    await saved(1, { cover: await upload('a') })
    await saved(2, { cover: await upload('b') })
    const cover = await upload('shared')
    await meet(
      () => other.manager.save(Album, { id: 1, cover }),
      () => dataSource.manager.save(Album, { id: 2, cover }),
    )
    expect((await loaded(2)).cover?.equals(cover)).toBe(true)
  })

  it('keeps the object that one row gets from another that is about to be removed', async () => {
    await saved(1, { cover: await upload('a') })
    const { cover } = await loaded(1)
    await meet(
      () => other.manager.save(Album, { id: 2, cover }),
      async () => {
        await dataSource.manager.remove(await loaded(1))
        await filesSettled()
      },
    )
    expect(await cover?.exists()).toBe(true)
  })

  it('never has a row refer to the object of a file whose row was removed meanwhile', async () => {
    await saved(1, { cover: await upload('a') })
    const { cover } = await loaded(1)
    const theirs = await loaded(1)
    await meet(
      () => other.manager.remove(theirs),
      () =>
        dataSource.manager.save(Album, { id: 2, cover }).catch((error: unknown) => {
          if (!isS3FileError(error, 'file-gone')) throw error
        }),
    )
  })

  it.each([
    [
      'save()',
      (manager: EntityManager, cover: S3File | null) => manager.save(Album, { id: nextId(), cover }),
    ],
    [
      'insert()',
      (manager: EntityManager, cover: S3File | null) => manager.insert(Album, { id: nextId(), cover }),
    ],
  ])(
    'two requests that copy a file by %s, and then write the row that it came from, both succeed',
    async (_, copy) => {
      await saved(1, { cover: await upload('a'), photos: [] })
      const uploads = [await upload('b'), await upload('c')]
      const bothHaveCopied = new Barrier(2, 500)
      await Promise.all(
        uploads.map((photo) =>
          dataSource.transaction(async (manager) => {
            const album = await manager.findOneByOrFail(Album, { id: 1 })
            await copy(manager, album.cover)
            await bothHaveCopied.reach()
            album.photos = [...(album.photos ?? []), photo]
            await manager.save(album)
          }),
        ),
      )
      expect((await loaded(1)).photos?.map(({ name }) => name).sort()).toEqual(['b.txt', 'c.txt'])
    },
  )

  it('refuses a file whose object has gone with its row', async () => {
    await saved(1, { cover: await upload('a') })
    const stale = await loaded(1)
    await dataSource.manager.remove(await loaded(1))
    await filesSettled()
    await expect(dataSource.manager.save(stale)).rejects.toMatchObject({ code: 'file-gone' })
    const { cover } = await saved(1, { cover: await upload('b') })
    await dataSource.manager.save(stale) // It has changed nothing.
    expect((await loaded(1)).cover?.equals(cover)).toBe(true)
  })

  it('takes the file of a statement that is its own transaction', async () => {
    const album = await saved(1, { cover: await upload('a') })
    album.cover = await upload('b')
    await dataSource.manager.save(album, { transaction: false })
    await dataSource.manager.remove(album, { transaction: false })
  })
})
