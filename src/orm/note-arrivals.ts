import type { DataSource, EntityMetadata } from 'typeorm'
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
  const column = (property: string) =>
    `j.${dataSource.driver.escape(metadata.findColumnWithPropertyName(property)?.databaseName as string)}`
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
  const [journal, free, taken] = [
    nameInTrigger(dataSource, host, metadata),
    `${column('claimedUntil')} IS NULL`,
    `${column('claimedUntil')} IS NOT NULL`,
  ]
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
      const joined = `${journal} j INNER JOIN ${objects} t ON ${[...indexed, ...same].join(' AND ')}`
      return [
        `DELETE j FROM ${joined} WHERE ${free}`,
        // As committed by now, whatever the transaction sees otherwise.
        `IF EXISTS (SELECT 1 FROM ${joined} WHERE ${taken} LOCK IN SHARE MODE) ` +
          `THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${message}'; END IF`,
      ]
    }
    case 'sqlite': {
      const named =
        `${column('key')} IN (SELECT object_key FROM ${objects}) ` +
        `AND EXISTS (SELECT 1 FROM ${objects} t WHERE ${same.join(' AND ')})`
      return [
        `DELETE FROM ${journal} WHERE ${named.replaceAll('j.', `${journal}.`)} AND ${free.replace('j.', `${journal}.`)}`,
        `SELECT RAISE(ABORT, '${message}') FROM ${journal} j WHERE ${named} AND ${taken}`,
      ]
    }
  }
}
