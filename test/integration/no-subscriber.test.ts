import { DataSource, type DataSourceOptions, type EntityManager } from 'typeorm'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { Paper } from '../support/lifecycle-entities.ts'
import { dataSourceOptions } from '../support/servers.ts'

describe('a DataSource without S3FileSubscriber', () => {
  let codes: unknown[] = []
  let opened: DataSource[] = []
  const onWarning = (warning: Error & { code?: string }) => codes.push(warning.code)
  beforeEach(() => {
    codes = []
    opened = []
    configureStorages({ default: new MemoryStorage() })
    process.on('warning', onWarning)
  })
  afterEach(async () => {
    process.off('warning', onWarning)
    for (const dataSource of opened) await dataSource.destroy()
  })

  async function managerOf(subscribers: DataSourceOptions['subscribers']): Promise<EntityManager> {
    const dataSource = new DataSource({
      ...dataSourceOptions(inject('servers').databaseUrl),
      entities: [Paper],
      subscribers,
      synchronize: true,
      dropSchema: true,
    } as DataSourceOptions)
    opened.push(await dataSource.initialize())
    return dataSource.manager
  }
  const file = () => new S3File({ key: 'a' })
  const warnings = async () => {
    await new Promise(setImmediate)
    return codes.filter((code) => code === 'S3FILE_NO_SUBSCRIBER')
  }

  it.each([
    ['save()', (manager: EntityManager) => manager.save(Object.assign(new Paper(), { file: file() }))],
    ['insert()', (manager: EntityManager) => manager.insert(Paper, { file: file() })],
    ['update()', (manager: EntityManager) => manager.update(Paper, { title: 'none' }, { file: file() })],
  ])('warns once when %s saves a file', async (_, write) => {
    const manager = await managerOf([])
    await manager.save(new Paper())
    expect(await warnings()).toEqual([])
    await write(manager)
    await write(manager)
    expect(await warnings()).toEqual(['S3FILE_NO_SUBSCRIBER'])
  })

  it('that gets the subscriber says nothing', async () => {
    const manager = await managerOf([S3FileSubscriber])
    const row = Object.assign(new Paper(), { file: file() })
    await manager.save(row).catch(() => undefined) // There is no such object.
    expect(await warnings()).toEqual([])
  })
})
