import { Readable } from 'node:stream'
import { DataSource } from 'typeorm'
import { FileJournalEntry, filesSettled, S3FileSubscriber } from 'typeorm-s3-file'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Invoice } from '../../migrations-example/src/invoice.ts'
import { migrations } from '../../migrations-example/src/migrations/index.ts'
import { databasesOfRun } from '../support/database.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

/** The entities come from the built package, as for whoever reads the example. */
describe.each(databasesOfRun())('the example migrations on %s', (name) => {
  let world: S3World
  let dataSource: DataSource
  beforeAll(async () => {
    world = await S3World.start()
    dataSource = new DataSource({
      ...dataSourceOptions(name === 'SQLite' ? 'sqljs://memory' : inject('servers').databaseUrl),
      entities: [Invoice, FileJournalEntry],
      subscribers: [S3FileSubscriber],
      migrations: [],
      dropSchema: true,
    } as ConstructorParameters<typeof DataSource>[0])
    await dataSource.initialize()
  })
  afterAll(async () => {
    await dataSource.dropDatabase()
    await dataSource.destroy()
    await world.stop()
  })

  const run = async (count: number) => {
    dataSource.migrations.splice(0)
    dataSource.migrations.push(...migrations.slice(0, count).map((Migration) => new Migration()))
    await dataSource.runMigrations()
  }
  const keyOf = (id: number) => `${world.prefix}uploads/${id}.pdf`
  const put = (key: string) =>
    world.storage.put(key, Readable.from([Buffer.from('%PDF-1.7')]), { contentType: 'application/pdf' })

  it('take a Django table to files, journal and triggers, and the entity fits', async () => {
    await run(2)
    await put(keyOf(1))
    await put(keyOf(2))
    for (const upload of [keyOf(1), keyOf(2), '']) {
      await dataSource.query(`INSERT INTO invoice (number, upload) VALUES ('7', '${upload}')`)
    }
    await run(6)
    const [first, second, third] = await dataSource.getRepository(Invoice).find({ order: { id: 'ASC' } })
    expect(first?.file).toMatchObject({
      key: keyOf(1),
      name: '1.pdf',
      size: 8,
      contentType: 'application/pdf',
      storage: 'default',
    })
    expect((await second?.file?.bytes())?.toString()).toBe('%PDF-1.7')
    expect(third?.file).toBeNull()
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log()
    expect(upQueries).toEqual([])
  })

  it('have the lifecycle work, also for raw SQL', async () => {
    await dataSource.query('DELETE FROM invoice WHERE id = 2')
    const [entry] = await dataSource.getRepository(FileJournalEntry).find()
    expect(entry).toMatchObject({ key: keyOf(2), reason: 'release' })
    const invoice = await dataSource.getRepository(Invoice).findOneByOrFail({ id: 3 })
    invoice.number = '8'
    await dataSource.manager.save(invoice)
    await filesSettled()
    expect(await dataSource.getRepository(FileJournalEntry).count()).toBe(1)
  })

  it('lead back to paths', async () => {
    for (let count = 0; count < 5; count++) await dataSource.undoLastMigration()
    const rows = await dataSource.query('SELECT id, upload FROM invoice ORDER BY id')
    expect(rows).toEqual([
      { id: 1, upload: keyOf(1) },
      { id: 3, upload: '' },
    ])
    await dataSource.undoLastMigration()
    const runner = dataSource.createQueryRunner()
    expect(await runner.hasTable('invoice')).toBe(false)
    await runner.release()
  })

  it('stop at a path without an object, before anything is lost', async () => {
    await run(2)
    await dataSource.query(`INSERT INTO invoice (number, upload) VALUES ('7', '${keyOf(9)}')`)
    await expect(run(3)).rejects.toThrow(`there is no object '${keyOf(9)}'`)
    const [row] = await dataSource.query('SELECT upload FROM invoice')
    expect(row).toEqual({ upload: keyOf(9) })
  })
})
