import { InsertQueryBuilder } from 'typeorm'
import { expect, it } from 'vitest'
import { adaptQueryBuilders } from '../../src/orm/adapt-query-builders.ts'
import { adaptQueriesOfColumns } from '../../src/orm/columns-in-queries.ts'

it('statements of query builders follow files, also when a field with columns was defined before the subscriber', () => {
  const { execute } = InsertQueryBuilder.prototype
  adaptQueriesOfColumns()
  adaptQueryBuilders()
  const adapted = InsertQueryBuilder.prototype.execute
  expect(adapted).not.toBe(execute)
  adaptQueryBuilders()
  expect(InsertQueryBuilder.prototype.execute).toBe(adapted)
})
