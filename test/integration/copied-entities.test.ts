import { instanceToInstance, plainToInstance } from 'class-transformer'
import lodash from 'lodash'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { TestDatabase } from '../support/database.ts'
import { type Filed, InColumns, InJson, InKey } from '../support/entities.ts'

let database: TestDatabase
beforeAll(async () => {
  configureStorages({ default: new MemoryStorage() })
  database = await TestDatabase.start()
})
afterAll(() => database.stop())

describe.each([
  ['json', InJson],
  ['columns', InColumns],
  ['key', InKey],
] as const)('with layout %s, a copy of an entity', (_, Entity) => {
  const newFile = (name: string) =>
    uploadFromStream(Buffer.from('hello'), { name, contentType: 'text/plain' })

  it.each<[string, (entity: Filed) => Filed]>([
    ['instanceToInstance of class-transformer', instanceToInstance],
    [
      'plainToInstance of class-transformer',
      (entity) => plainToInstance(Entity as new () => Filed, { ...entity }),
    ],
    ['cloneDeep of lodash', lodash.cloneDeep],
    ['merge of lodash', (entity) => lodash.merge(new Entity(), entity)],
    ['pick of lodash', (entity) => lodash.pick(entity, ['id', 'title', 'file'])],
  ])('that is made by %s can be saved, with its file and with another', async (_name, copy) => {
    const repository = database.dataSource.getRepository<Filed>(Entity)
    const { id } = await repository.save({ title: 'a', file: await newFile('first.txt') })
    const loaded = await repository.findOneByOrFail({ id })
    const copied = copy(loaded)
    copied.title = 'b'
    database.takeWrites()
    await repository.save(repository.create(copied))
    expect(database.takeWrites().join()).not.toMatch(/file/i)
    const renamed = await repository.findOneByOrFail({ id })
    expect(renamed.title).toBe('b')
    expect(renamed.file?.equals(loaded.file)).toBe(true)
    expect(await copied.file?.url()).toMatch(/^memory:/)
    const replaced = copy(renamed)
    replaced.file = await newFile('second.txt')
    await repository.save(repository.create(replaced))
    expect((await repository.findOneByOrFail({ id })).file?.name).toBe('second.txt')
  })
})
