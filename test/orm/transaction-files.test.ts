import { DataSource, type QueryRunner } from 'typeorm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { depthOf, TransactionFiles } from '../../src/orm/transaction-files.ts'

const [a, b, c] = ['a', 'b', 'c'].map((key) => new S3File({ key })) as [S3File, S3File, S3File]
const released = (key: string) => ({ storage: 'default', key, entryId: undefined })

describe('what a transaction does to files', () => {
  let dataSource: DataSource
  let runner: QueryRunner
  let files: TransactionFiles
  beforeAll(async () => {
    dataSource = await new DataSource({ type: 'sqljs' }).initialize()
    runner = dataSource.createQueryRunner()
  })
  afterAll(() => dataSource.destroy())
  beforeEach(async () => {
    while (runner.isTransactionActive) await runner.rollbackTransaction()
    TransactionFiles.forget(runner)
    files = TransactionFiles.of(runner)
    await runner.startTransaction()
  })

  const savepoint = () => runner.startTransaction()
  const release = async () => {
    await runner.commitTransaction()
    files.releaseSavepoint()
  }
  const rollBack = async () => {
    await runner.rollbackTransaction()
    return files.rollBackSavepoint()
  }

  it('is known by the query runner, until it is forgotten', () => {
    expect(TransactionFiles.of(runner)).toBe(files)
    expect(TransactionFiles.find(runner)).toBe(files)
    TransactionFiles.forget(runner)
    expect(TransactionFiles.find(runner)).toBeUndefined()
    expect(depthOf(runner)).toBe(1)
  })

  it('tells on COMMIT what came to rows, what did not, and what rows let go', () => {
    files.offer([a, b])
    files.attach([a])
    files.release([released('c')])
    expect(files.committed(true)).toEqual({ attached: new Set([a]), unused: [b], released: [released('c')] })
  })

  it('leaves alone what others may be about to save on the same connection', () => {
    files.offer([a, b])
    files.undo([b])
    expect(files.committed(false).unused).toEqual([b])
  })

  it('goes by the object, not by the file that names it', () => {
    files.offer([a])
    files.attach([new S3File({ key: 'a', name: 'another name' })])
    expect(files.committed(true).unused).toEqual([])
  })

  it('has nothing to tell of a transaction without files', () => {
    expect(files.committed(true)).toEqual({ attached: new Set(), unused: [], released: [] })
    expect(files.rolledBack()).toEqual({ unused: [], onUndo: [] })
    expect([...files.attached]).toEqual([])
  })

  it('leaves every upload without a row when it is rolled back', async () => {
    files.offer([a])
    files.attach([a])
    await savepoint()
    files.offer([b])
    await rollBack()
    await savepoint()
    files.attach([c])
    expect(files.rolledBack().unused).toEqual([a, b, c])
  })

  describe('in a savepoint', () => {
    it('is its parent’s when it is released', async () => {
      await savepoint()
      files.offer([a, b])
      files.attach([a])
      files.release([released('c')])
      expect(files.committed(true).attached).toEqual(new Set())
      await release()
      expect(files.committed(true)).toEqual({
        attached: new Set([a]),
        unused: [b],
        released: [released('c')],
      })
    })

    it('is undone when it is rolled back, and nothing else is', async () => {
      files.attach([a])
      files.release([released('before')])
      await savepoint()
      files.offer([b])
      files.attach([b])
      files.release([released('within')])
      await rollBack()
      expect(files.committed(true)).toEqual({
        attached: new Set([a]),
        unused: [b],
        released: [released('before')],
      })
    })

    it('is undone when its parent is rolled back after it was released', async () => {
      await savepoint()
      await savepoint()
      files.attach([a])
      files.release([released('b')])
      await release()
      await rollBack()
      expect(files.committed(true)).toEqual({ attached: new Set(), unused: [a], released: [] })
    })

    it('does not keep an upload from being attached again', async () => {
      await savepoint()
      files.attach([a])
      await rollBack()
      files.attach([a])
      expect(files.committed(true)).toMatchObject({ attached: new Set([a]), unused: [] })
    })

    it('says nothing when no files were in it', async () => {
      files.attach([a])
      await savepoint()
      await release()
      await savepoint()
      expect(await rollBack()).toEqual([])
      expect(files.committed(true).attached).toEqual(new Set([a]))
    })

    it('says what is to be written again, and says so again when its parent is rolled back', async () => {
      const [outer, inner] = [async () => undefined, async () => undefined]
      files.onUndo(outer)
      await savepoint()
      files.onUndo(inner)
      expect(await rollBack()).toEqual([inner])
      expect(files.rolledBack().onUndo).toEqual([outer, inner])
    })
  })
})
