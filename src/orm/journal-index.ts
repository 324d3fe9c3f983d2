import type { QueryRunner } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import { journalBrand, keyIndex } from './entry-values.js'
import { dialectOf, tableName } from './file-sql.js'
import { dataSourceOf } from './typeorm-versions.js'

/** Characters of a key that MySQL takes into the index: its limit is 3,072 bytes, with 4 for each character. */
const indexedCharacters = 255

/**
 * Makes the index by which the file journal finds the entries of an object, for a migration's `up()`; it goes with the
 * table. Does nothing when it is there. `synchronize: true` makes it by itself, `migration:generate` does not.
 *
 * @throws ConfigurationError `invalid-option` for a DataSource without `FileJournalEntry`.
 */
export async function addJournalIndex(queryRunner: QueryRunner): Promise<void> {
  const dataSource = dataSourceOf(queryRunner)
  const metadata = dataSource.entityMetadatas.find(
    ({ target }) => (target as { [journalBrand]?: true })[journalBrand] === true,
  )
  if (metadata === undefined) {
    throw new ConfigurationError(
      'invalid-option',
      'addJournalIndex: the DataSource has no FileJournalEntry among its entities',
    )
  }
  const table = await queryRunner.getTable(metadata.tablePath)
  if (table === undefined || table.indices.some(({ name }) => name === keyIndex)) return
  const { driver } = dataSource
  const key = driver.escape(metadata.findColumnWithPropertyName('key')?.databaseName ?? 'key')
  const part = dialectOf(dataSource) === 'mysql' ? `(${indexedCharacters})` : ''
  await queryRunner.query(
    `CREATE INDEX ${driver.escape(keyIndex)} ON ${tableName(dataSource, metadata)} (${key}${part})`,
  )
}
