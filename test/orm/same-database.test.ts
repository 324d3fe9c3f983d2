import { DataSource, type DataSourceOptions } from 'typeorm'
import { describe, expect, it } from 'vitest'
import { isSameDatabase } from '../../src/orm/same-database.ts'

const pool = class {}
const are = (left: object, right: object) =>
  isSameDatabase(new DataSource(left as DataSourceOptions), new DataSource(right as DataSourceOptions))

describe('two DataSources', () => {
  it.each([
    [
      { type: 'postgres', url: 'postgres://a@h/d' },
      { type: 'postgres', host: 'h', port: 5432, database: 'd' },
    ],
    [
      { type: 'mariadb', host: 'h', database: 'd' },
      { type: 'mariadb', url: 'mysql://h:3306/d' },
    ],
    [
      { type: 'postgres', database: 'd', extra: { max: 2 } },
      { type: 'postgres', database: 'd' },
    ],
  ])('on one database are known to be: %j and %j', (left, right) => {
    expect(are(left, right)).toBe(true)
  })

  it.each([
    [
      { type: 'postgres', host: 'h', database: 'd' },
      { type: 'postgres', host: 'h', database: 'e' },
    ],
    [
      { type: 'postgres', extra: { host: 'h', port: 1 } },
      { type: 'postgres', extra: { host: 'h', port: 2 } },
    ],
    [{ type: 'postgres', extra: { connectionString: 'x' } }, { type: 'postgres' }],
    [
      { type: 'postgres', driver: { Pool: pool } },
      { type: 'postgres', driver: { Pool: pool } },
    ],
    [
      { type: 'better-sqlite3', database: '' },
      { type: 'better-sqlite3', database: '' },
    ],
    [{ type: 'sqljs' }, { type: 'sqljs' }],
  ])('that may be on two databases are never taken for one: %j and %j', (left, right) => {
    expect(are(left, right)).toBe(false)
  })
})
