import { DataSource, type QueryRunner } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { entities, InColumns, InJson } from '../support/entities.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

describe.each([['the database of this run'], ['SQLite']])('on %s', (name) => {
  describe.each([['with a journal'], ['without a journal']])('%s', (journal) => {
    let world: S3World
    let dataSource: DataSource
    beforeAll(async () => {
      world = await S3World.start()
      dataSource = new DataSource({
        ...dataSourceOptions(name === 'SQLite' ? 'sqljs://memory' : inject('servers').databaseUrl),
        entities: journal === 'with a journal' ? [...entities, FileJournalEntry] : entities,
        subscribers: [S3FileSubscriber],
        synchronize: true,
        dropSchema: true,
      } as ConstructorParameters<typeof DataSource>[0])
      await dataSource.initialize()
    })
    afterAll(async () => {
      await dataSource.destroy()
      await world.stop()
    })
    afterEach(async () => {
      await filesSettled()
      expect(await entries()).toEqual([])
      await world.clear()
    })

    const entries = async () =>
      journal === 'with a journal'
        ? (await dataSource.getRepository(FileJournalEntry).find()).map(({ key }) => key)
        : []
    const upload = (text = 'a') =>
      uploadFromStream(Buffer.from(text), {
        into: [InJson, 'file'],
        contentType: 'text/plain',
        name: `${text}.txt`,
      })
    const exists = async (file: S3File) => {
      await filesSettled()
      return file.exists()
    }
    const saved = async (text = 'old') => {
      const entity = new InJson()
      entity.file = await upload(text)
      await dataSource.manager.save(entity)
      return entity as InJson & { file: S3File }
    }

    it('keeps what was saved', async () => {
      const { file } = await saved()
      expect(await exists(file)).toBe(true)
      expect(await entries()).toEqual([])
    })

    it('deletes what was replaced', async () => {
      const entity = await saved()
      const old = entity.file
      entity.file = await upload('new')
      await dataSource.manager.save(entity)
      expect(await exists(old)).toBe(false)
      expect(await exists(entity.file)).toBe(true)
    })

    it('deletes what was cleared or removed', async () => {
      const entity = await saved()
      const old = entity.file
      ;(entity as InJson).file = null
      await dataSource.manager.save(entity)
      expect(await exists(old)).toBe(false)
      const other = await saved()
      const { file } = other
      await dataSource.manager.remove(other)
      expect(await exists(file)).toBe(false)
    })

    it('keeps the old and deletes the new when rolled back', async () => {
      const entity = await saved()
      const old = entity.file
      const file = await upload('new')
      await expect(
        dataSource.transaction(async (manager) => {
          entity.file = file
          await manager.save(entity)
          throw new Error('no')
        }),
      ).rejects.toThrow('no')
      expect(await exists(old)).toBe(true)
      expect(await exists(file)).toBe(false)
      await expect(dataSource.manager.save(entity)).rejects.toMatchObject({ code: 'file-gone' })
    })

    it('undoes only what a savepoint did that was rolled back', async () => {
      const [first, second] = [await saved('1'), await saved('2')]
      const [old1, old2] = [first.file, second.file]
      const [new1, new2] = [await upload('n1'), await upload('n2')]
      const runner: QueryRunner = dataSource.createQueryRunner()
      await runner.startTransaction()
      first.file = new1
      await runner.manager.save(first)
      await runner.startTransaction()
      second.file = new2
      await runner.manager.save(second)
      await runner.rollbackTransaction()
      await runner.startTransaction()
      await runner.commitTransaction()
      expect(await exists(new2)).toBe(true)
      expect(await exists(old1)).toBe(true)
      await runner.commitTransaction()
      await runner.release()
      expect(await Promise.all([exists(old1), exists(new1), exists(old2), exists(new2)])).toEqual([
        false,
        true,
        true,
        false,
      ])
    })

    it('works in columns', async () => {
      const entity = new InColumns()
      const old = await upload('old')
      entity.file = old
      await dataSource.manager.save(entity)
      entity.file = await upload('new')
      await dataSource.manager.save(entity)
      expect(await exists(old)).toBe(false)
      expect(await exists(entity.file)).toBe(true)
      entity.file = null
      await dataSource.manager.save(entity)
    })

    it('keeps a shared object until the last row lets it go', async () => {
      const [first, second] = [await saved('1'), new InColumns()]
      const { file } = first
      second.file = file
      await dataSource.manager.save(second)
      await dataSource.manager.remove(first)
      expect(await exists(file)).toBe(true)
      await dataSource.manager.remove(second)
      expect(await exists(file)).toBe(false)
    })
  })
})
