import { DataSource, type Logger, type ObjectLiteral, type QueryRunner } from 'typeorm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { fileColumnsOf } from '../../src/orm/file-columns.ts'
import { RowReader } from '../../src/orm/row-files.ts'
import { silentLogger } from '../support/database.ts'
import { lifecycleEntities, Numbered, Page, Paper } from '../support/lifecycle-entities.ts'

const file = (key: string) => new S3File({ key })

describe('a reader of rows', () => {
  const statements: string[] = []
  let dataSource: DataSource
  let runner: QueryRunner
  let reader: RowReader
  beforeAll(async () => {
    const logger: Logger = { ...silentLogger, logQuery: (statement) => void statements.push(statement) }
    dataSource = new DataSource({
      type: 'sqljs',
      entities: lifecycleEntities,
      synchronize: true,
      logging: true,
      logger,
    })
    await dataSource.initialize()
    runner = dataSource.createQueryRunner()
  })
  afterAll(() => dataSource.destroy())
  beforeEach(() => {
    reader = new RowReader(runner)
    statements.length = 0
  })

  const metadataOf = (target: new () => object) => dataSource.getMetadata(target)
  const read = (target: new () => object, id: ObjectLiteral) => {
    const metadata = metadataOf(target)
    return reader.read({ metadata, columns: fileColumnsOf(metadata), id, isNeeded: false })
  }
  const take = (target: new () => object, id: ObjectLiteral) => {
    const found = reader.take(metadataOf(target), id)
    return found && [...found.values()].flat().map(({ key }) => key)
  }

  it('gives the files that rows have now, each once', async () => {
    const { id } = await dataSource.manager.save(Object.assign(new Paper(), { file: file('first') }))
    await dataSource.manager.save(Object.assign(new Paper(), { id, file: file('second') }))
    await read(Paper, { id })
    expect(take(Paper, { id })).toEqual(['second'])
    expect(take(Paper, { id })).toBeUndefined()
  })

  it('gives null for a row that is not there, undefined for one that was not read', async () => {
    const id = '00000000-0000-4000-8000-000000000000'
    await read(Paper, { id })
    expect(take(Paper, { id })).toBeNull()
    expect(take(Paper, { id: 'other' })).toBeUndefined()
  })

  it('asks with one statement for all rows of a table that are wanted in the same breath', async () => {
    const rows = await dataSource.manager.save(
      ['a', 'b', 'c'].map((key) => Object.assign(new Paper(), { file: file(key) })),
    )
    const page = await dataSource.manager.save(
      Object.assign(new Page(), { book: 'x', number: 1, file: file('d') }),
    )
    statements.length = 0
    await Promise.all([...rows.map(({ id }) => read(Paper, { id })), read(Page, { book: 'x', number: 1 })])
    expect(statements).toHaveLength(2)
    expect(rows.map(({ id }) => take(Paper, { id }))).toEqual([['a'], ['b'], ['c']])
    expect(take(Page, { book: page.book, number: page.number })).toEqual(['d'])
  })

  it('knows a row by its key, however that was loaded', async () => {
    await dataSource.manager.save(Object.assign(new Numbered(), { id: 7n, file: file('seven') }))
    await read(Numbered, { id: 7n })
    expect(take(Numbered, { id: 7n })).toEqual(['seven'])
    await read(Numbered, { id: 7n })
    expect(take(Numbered, { id: '7' })).toEqual(['seven'])
  })
})
