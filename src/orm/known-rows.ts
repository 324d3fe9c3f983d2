import type { QueryRunner } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { storageNames } from '../core/storage-registry.js'
import { allFileColumns, type FileColumn } from './file-columns.js'
import {
  byBytes,
  type Dialect,
  dialectOf,
  isJsonText,
  parserOf,
  type RowRefs,
  refsOfRow,
  tableName,
} from './file-sql.js'
import { fetchRows } from './row-keys.js'
import { dataSourceOf } from './typeorm-versions.js'

/**
 * Makes sure that all file columns of a database can be read, so that what a row refers to is never guessed at.
 *
 * @returns the names of the storages that rows refer to.
 * @throws ConfigurationError `unknown-layout` naming the table, the column and how many values are unknown.
 */
export async function assertKnownRows(runner: QueryRunner): Promise<Set<string>> {
  const names = new Set<string>()
  for (const column of allFileColumns(dataSourceOf(runner))) {
    const search = new ColumnSearch(runner, column)
    const unreadable = await search.countUnreadable()
    if (unreadable > 0) throw unknownLayout(search.place, unreadable, 'no record of a file')
    for (const { storage, count } of await search.countByStorage()) {
      if (!storageNames().includes(storage)) {
        throw unknownLayout(search.place, count, `of the storage '${storage}', which is not configured`)
      }
      names.add(storage)
    }
  }
  return names
}

interface Place {
  table: string
  column: string
}

function unknownLayout({ table, column }: Place, count: number, what: string): ConfigurationError {
  return new ConfigurationError(
    'unknown-layout',
    `${count} ${count === 1 ? 'value' : 'values'} of column '${column}' of table '${table}': ${what}`,
    { context: { table, column, count } },
  )
}

class ColumnSearch {
  readonly place: Place
  readonly #runner: QueryRunner
  readonly #file: FileColumn
  readonly #dialect: Dialect
  readonly #refs: RowRefs
  readonly #table: string
  readonly #column: string

  constructor(runner: QueryRunner, file: FileColumn) {
    const dataSource = dataSourceOf(runner)
    const { entityMetadata, databaseName } = file.column
    this.place = { table: entityMetadata.tablePath, column: databaseName }
    this.#runner = runner
    this.#file = file
    this.#dialect = dialectOf(dataSource)
    this.#refs = refsOfRow(dataSource, file, 'f')
    this.#table = `${tableName(dataSource, entityMetadata)} f`
    this.#column = `f.${dataSource.driver.escape(databaseName)}`
  }

  /** Values that are not empty and give no key or no storage; of a list, its items. */
  async countUnreadable(): Promise<number> {
    const { key, storage, each } = this.#refs
    const lacksPart = `(${key} IS NULL OR ${key} = '' OR ${storage} IS NULL OR ${storage} = '')`
    try {
      if (each === undefined) return await this.#count(this.#table, `${this.#isFilled()} AND ${lacksPart}`)
      const broken = await this.#count(this.#table, `${this.#isFilled()} AND ${this.#isNoJson()}`)
      return broken + (await this.#count(`${this.#table}, ${each}`, lacksPart))
    } catch (error) {
      // PostgreSQL fails on a text that is no JSON, and does not say on how many.
      const count = this.#dialect === 'postgres' ? await this.#countBrokenJson() : 0
      if (count === 0) throw error
      return count
    }
  }

  async countByStorage(): Promise<{ storage: string; count: number }[]> {
    const { key, storage, each } = this.#refs
    const rows: { storage_name: string | Buffer; row_count: string | number }[] = await this.#runner.query(
      `SELECT ${byBytes(this.#dialect, storage)} AS storage_name, COUNT(*) AS row_count ` +
        `FROM ${this.#table}${each === undefined ? '' : `, ${each}`} WHERE ${key} IS NOT NULL GROUP BY 1`,
    )
    return rows.map((row) => ({ storage: row.storage_name.toString(), count: Number(row.row_count) }))
  }

  #isFilled(): string {
    if (this.#file.field.layout !== 'json') return `${this.#refs.key} IS NOT NULL`
    return `${this.#text()} NOT IN ('', 'null')`
  }

  #text(): string {
    return `CAST(${this.#column} AS ${this.#dialect === 'mysql' ? 'CHAR' : 'TEXT'})`
  }

  #isNoJson(): string {
    switch (this.#dialect) {
      case 'postgres':
        return isJsonText(this.#file)
          ? `${parserOf(dataSourceOf(this.#runner))(this.#column)} IS NULL`
          : 'FALSE'
      case 'mysql':
      case 'sqlite':
        return `NOT json_valid(${this.#column})`
    }
  }

  async #count(from: string, where: string): Promise<number> {
    const [row] = await this.#runner.query(`SELECT COUNT(*) AS row_count FROM ${from} WHERE ${where}`)
    return Number(row.row_count)
  }

  async #countBrokenJson(): Promise<number> {
    let count = 0
    const texts = `SELECT ${this.#text()} AS text FROM ${this.#table} WHERE ${this.#isFilled()}`
    for await (const { text } of fetchRows(this.#runner, texts)) {
      try {
        JSON.parse(text as string)
      } catch {
        count++
      }
    }
    return count
  }
}
