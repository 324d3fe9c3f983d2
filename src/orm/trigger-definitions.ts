import { createHash } from 'node:crypto'
import type { DataSource, EntityMetadata } from 'typeorm'
import { cascadeTriggers } from './cascade-triggers.js'
import { fileColumnsOfTable } from './file-columns.js'
import { dialectOf, isJsonText, nameBeside, nameInTrigger, tableName } from './file-sql.js'
import { type TableTrigger, tableTriggers } from './table-triggers.js'
import { type TriggerKind, triggerName } from './trigger-names.js'

/** A trigger as it is to be, with a mark in its body by which it is known again. */
interface TriggerDefinition {
  name: string
  /** Says what it does: changes with the entity, the journal and this package. 12 characters. */
  hash: string
  /** One by one. */
  up: string[]
  down: string[]
}

export interface Definitions {
  triggers: TriggerDefinition[]
  /** What they need besides. */
  before: string[]
  after: string[]
}

/** How the mark is found in a trigger's body. */
const mark = /\/\* s3file ([0-9a-f]{12}) \*\//

/** The hash of the definition that a trigger was made by; undefined for one of an older version. */
export function hashIn(body: string): string | undefined {
  return mark.exec(body)?.[1]
}

/** @param collation of the journal's keys, in MySQL; it makes no difference to what the triggers do. */
export function defineTriggers(
  dataSource: DataSource,
  metadata: EntityMetadata,
  collation?: string,
): Definitions {
  const define = { postgres: inPostgres, mysql: inMysql, sqlite: inSqlite }[dialectOf(dataSource)]
  return define(dataSource, metadata, collation)
}

function inPostgres(dataSource: DataSource, metadata: EntityMetadata): Definitions {
  const table = tableName(dataSource, metadata)
  const procedure = (kind: TriggerKind) => nameBeside(dataSource, metadata, triggerName(kind, metadata))
  const json = procedure('json')
  const before = fileColumnsOfTable(dataSource, metadata).some(isJsonText)
    ? [
        // A text that is no JSON must not make the statement fail.
        `CREATE OR REPLACE FUNCTION ${json}(value text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS ` +
          '$s3file$ BEGIN RETURN value::jsonb; EXCEPTION WHEN data_exception THEN RETURN NULL; END $s3file$',
      ]
    : []
  const triggers = tableTriggers(dataSource, metadata, { parse: (text) => `${json}(${text})` }).map(
    ({ kind, event, condition, statements }) => {
      const name = triggerName(kind, metadata)
      const each = condition === undefined ? 'STATEMENT' : `ROW WHEN (${condition})`
      const hash = hashOf([table, event, each, ...statements])
      const trigger = dataSource.driver.escape(name)
      return {
        name,
        hash,
        up: [
          // Names without a schema mean what they mean now, whoever's statement it is later.
          `CREATE OR REPLACE FUNCTION ${procedure(kind)}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT ` +
            `AS $s3file$ BEGIN ${marked(hash)} ${statements.join('; ')}; RETURN NULL; END $s3file$`,
          `CREATE TRIGGER ${trigger} ${event} ON ${table} FOR EACH ${each} EXECUTE FUNCTION ${procedure(kind)}()`,
        ],
        down: dropInPostgres(dataSource, metadata, name),
      }
    },
  )
  return { triggers, before, after: dropShared(dataSource, metadata) }
}

/**
 * Drops a trigger for a table, whatever it is called.
 *
 * @param database that it is in, where that is not the table's; MySQL only.
 */
export function dropTrigger(
  dataSource: DataSource,
  metadata: EntityMetadata,
  name: string,
  database?: string,
): string[] {
  if (dialectOf(dataSource) === 'postgres') return dropInPostgres(dataSource, metadata, name)
  const { driver } = dataSource
  const full =
    database === undefined
      ? nameBeside(dataSource, metadata, name)
      : `${driver.escape(database)}.${driver.escape(name)}`
  return [`DROP TRIGGER IF EXISTS ${full}`]
}

function dropInPostgres(dataSource: DataSource, metadata: EntityMetadata, name: string): string[] {
  return [
    `DROP TRIGGER IF EXISTS ${dataSource.driver.escape(name)} ON ${tableName(dataSource, metadata)}`,
    // A table that had this name before has taken its triggers along; other databases have one trigger of a name.
    `DROP FUNCTION IF EXISTS ${nameBeside(dataSource, metadata, name)}() CASCADE`,
  ]
}

/** Drops the function that triggers on a table share, if there is one. */
export function dropShared(dataSource: DataSource, metadata: EntityMetadata): string[] {
  return dialectOf(dataSource) === 'postgres'
    ? [`DROP FUNCTION IF EXISTS ${nameBeside(dataSource, metadata, triggerName('json', metadata))}(text)`]
    : []
}

function inMysql(dataSource: DataSource, metadata: EntityMetadata, collation?: string): Definitions {
  const hashes = new Map(
    tableTriggers(dataSource, metadata).map((trigger) => [trigger.kind, hashOfRow(trigger, metadata)]),
  )
  const own = tableTriggers(dataSource, metadata, { collation }).map((trigger) => {
    const { kind, event, condition, statements } = trigger
    const hash = hashes.get(kind) as string
    const body = `BEGIN ${marked(hash)} IF ${condition} THEN ${statements.join('; ')}; END IF; END`
    return mysqlTrigger(dataSource, metadata, { name: triggerName(kind, metadata), hash, event, body })
  })
  const cascades = cascadeTriggers(dataSource, metadata).map(({ host, id, statements }) => {
    const hash = hashOf([host.tablePath, ...statements])
    return mysqlTrigger(dataSource, host, {
      name: triggerName('cascade', metadata, id),
      hash,
      event: 'BEFORE DELETE',
      body: `BEGIN ${marked(hash)} ${statements.join('; ')}; END`,
    })
  })
  return { triggers: [...own, ...cascades], before: [], after: [] }
}

function mysqlTrigger(
  dataSource: DataSource,
  host: EntityMetadata,
  { name, hash, event, body }: { name: string; hash: string; event: string; body: string },
): TriggerDefinition {
  const full = nameBeside(dataSource, host, name)
  return {
    name,
    hash,
    up: [`CREATE TRIGGER ${full} ${event} ON ${tableName(dataSource, host)} FOR EACH ROW ${body}`],
    down: dropTrigger(dataSource, host, name),
  }
}

function inSqlite(dataSource: DataSource, metadata: EntityMetadata): Definitions {
  const table = nameInTrigger(dataSource, metadata, metadata)
  const triggers = tableTriggers(dataSource, metadata).map((trigger) => {
    const { kind, event, condition, statements } = trigger
    const name = triggerName(kind, metadata)
    const hash = hashOfRow(trigger, metadata)
    return {
      name,
      hash,
      up: [
        `CREATE TRIGGER ${nameBeside(dataSource, metadata, name)} ${event} ON ${table} FOR EACH ROW WHEN ${condition} ` +
          `BEGIN ${statements.join('; ')}; ${marked(hash)} END`,
      ],
      down: dropTrigger(dataSource, metadata, name),
    }
  })
  return { triggers, before: [], after: [] }
}

function hashOfRow({ event, condition, statements }: TableTrigger, { tablePath }: EntityMetadata): string {
  return hashOf([tablePath, event, String(condition), ...statements])
}

function hashOf(parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12)
}

function marked(hash: string): string {
  return `/* s3file ${hash} */`
}
