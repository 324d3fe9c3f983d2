import type { DataSource, EntityMetadata } from 'typeorm'
import { UploadError } from '../core/errors.js'
import { FileJournal } from './file-journal.js'
import { dialectOf, nameInTrigger, type RowRefs } from './file-sql.js'
import { fromClause, triggerWords } from './note-releases.js'

export interface Arrivals {
  /** The table of the trigger. */
  host: EntityMetadata
  /** The objects that a row refers to now. */
  arrived: RowRefs
  /** Those that it has referred to before. */
  before: RowRefs[]
  /** The collation of the journal's keys, for an index of MySQL to be used; unknown where nobody has asked for it. */
  collation: string | undefined
}

/** What a statement fails with. MySQL takes 128 characters. */
const message = 's3file: an object of this statement is being deleted; upload the file anew'

/**
 * Gives a statement that such a trigger has refused the code that a refusal of the package has: a janitor has taken an
 * entry of the object since the package looked, though another row may still refer to it.
 *
 * @throws UploadError `file-gone`, or the error as it is.
 */
export function rethrowRefusal(error: unknown): never {
  if (!(error instanceof Error) || !error.message.includes(message)) throw error
  throw new UploadError(
    'file-gone',
    'an object that the statement gives to a row is being deleted, or looked at for that. Try again if another row still ' +
      'refers to it; otherwise upload the file again',
    { cause: error },
  )
}

/**
 * What a trigger does when rows come to refer to objects: it deletes their entries of the journal, so that a pending upload
 * is one no more and a released object stays, and refuses those that a janitor has taken.
 */
export function noteArrivals(
  dataSource: DataSource,
  { host, arrived, before, collation }: Arrivals,
): string[] {
  const dialect = dialectOf(dataSource)
  const { metadata } = FileJournal.of(dataSource) as FileJournal
  const { exact } = triggerWords(dialect)
  const journal = nameInTrigger(dataSource, host, metadata)
  // SQLite knows no alias in the DELETE of a trigger.
  const entry = dialect === 'sqlite' ? journal : 'j'
  const name = (property: string) =>
    dataSource.driver.escape(metadata.findColumnWithPropertyName(property)?.databaseName as string)
  const column = (property: string) => `${entry}.${name(property)}`
  const { key, storage, each } = arrived
  const isNew = before.map(
    (old) =>
      `NOT EXISTS (SELECT 1${fromClause(dialect, old.each)} WHERE ${exact(old.key)} = ${exact(key)} ` +
      `AND ${exact(old.storage)} = ${exact(storage)})`,
  )
  const objects =
    `(SELECT ${key} AS object_key, ${storage} AS storage_name${fromClause(dialect, each)} ` +
    `WHERE ${[`${key} IS NOT NULL`, ...isNew].join(' AND ')})`
  const same = [
    `${exact(column('key'))} = ${exact('t.object_key')}`,
    `${exact(column('storage'))} = ${exact('t.storage_name')}`,
  ]
  const [free, taken] = [`${column('claimedUntil')} IS NULL`, `${column('claimedUntil')} IS NOT NULL`]
  switch (dialect) {
    case 'postgres': {
      const where = [`${column('key')} = t.object_key`, ...same].join(' AND ')
      return [
        `DELETE FROM ${journal} j USING ${objects} t WHERE ${where} AND ${free}`,
        `IF EXISTS (SELECT 1 FROM ${journal} j, ${objects} t WHERE ${where} AND ${taken}) ` +
          `THEN RAISE EXCEPTION '${message}' USING ERRCODE = 'integrity_constraint_violation'; END IF`,
      ]
    }
    case 'mysql': {
      const indexed =
        collation === undefined
          ? []
          : [`${column('key')} = CONVERT(t.object_key USING ${collation.split('_')[0]}) COLLATE ${collation}`]
      const found = `${journal} j INNER JOIN ${objects} t ON ${[...indexed, ...same].join(' AND ')}`
      // A look for a key that locks would lock what is between the entries too, and no upload could write its own before
      // the transaction ends: so the look does not lock, and each entry is deleted by its id.
      return [
        [
          // In ASCII, so that it is compared as the column is.
          'BEGIN DECLARE entry_id VARCHAR(36) CHARACTER SET ascii',
          'DECLARE is_done BOOLEAN DEFAULT FALSE',
          `DECLARE entries CURSOR FOR SELECT DISTINCT ${column('id')} FROM ${found}`,
          'DECLARE CONTINUE HANDLER FOR NOT FOUND SET is_done = TRUE',
          'OPEN entries',
          'each_entry: LOOP FETCH entries INTO entry_id',
          'IF is_done THEN LEAVE each_entry; END IF',
          `DELETE FROM ${journal} WHERE ${name('id')} = entry_id AND ${name('claimedUntil')} IS NULL`,
          `IF ROW_COUNT() = 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${message}'; END IF`,
          'END LOOP',
          'CLOSE entries',
          'END',
        ].join('; '),
      ]
    }
    case 'sqlite': {
      const named =
        `${column('key')} IN (SELECT object_key FROM ${objects}) ` +
        `AND EXISTS (SELECT 1 FROM ${objects} t WHERE ${same.join(' AND ')})`
      return [
        `DELETE FROM ${journal} WHERE ${named} AND ${free}`,
        `SELECT RAISE(ABORT, '${message}') FROM ${journal} WHERE ${named} AND ${taken}`,
      ]
    }
  }
}
