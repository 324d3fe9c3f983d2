import { DataSource, type EntityMetadata, type QueryRunner } from 'typeorm'
import { type Finding, find } from '../core/finding.js'
import { storageNames } from '../core/storage-registry.js'
import { isMariadbAsMysql, mariadbFix, mariadbMessage } from './check-driver.js'
import { checkKeyIndex } from './check-key-index.js'
import { checkTable } from './check-table.js'
import { keyIndex } from './entry-values.js'
import { type FileColumn, fileColumnsOf, fileColumnsOfTable } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { dialectOf } from './file-sql.js'
import { compareTriggers, hasAnyTriggers, installedTriggers } from './installed-triggers.js'
import { readBacklog } from './journal-backlog.js'
import { lifecycleOfSubscriber } from './lifecycle-options.js'
import { tablesOf } from './trigger-upkeep.js'
import { dataSourceOf } from './typeorm-versions.js'
import { uncoveredCascade } from './warn-of-cascades.js'

/** What the file columns of one table are called in a finding, such as `Document.file`. */
const labelOf = ({ column, propertyPath }: FileColumn) => `${column.entityMetadata.name}.${propertyPath}`

/** Checks that an initialized DataSource has all that files need: fields, storages, subscriber, journal, tables, triggers. */
export async function* checkWiring(dataSource: DataSource, signal: AbortSignal): AsyncIterable<Finding> {
  const tables = dataSource.entityMetadatas.filter(
    (metadata) =>
      metadata.tableType !== 'view' &&
      metadata.tableType !== 'entity-child' &&
      fileColumnsOf(metadata).length > 0,
  )
  const sync = (check: string, work: () => Result) => find(check, signal, async () => work())
  yield await sync('typeorm', () => checkCopies(dataSource))
  yield await find('dialect', signal, () => checkDialect(dataSource))
  yield await sync('file-fields', () => checkFields(tables.flatMap(fileColumnsOf)))
  yield await sync('field-storages', () => checkStorages(tables.flatMap(fileColumnsOf)))
  yield await sync('subscriber', () => checkSubscriber(dataSource))
  const runner = dataSource.createQueryRunner()
  try {
    yield await find('journal', signal, () => checkJournal(runner))
    for (const metadata of tables) {
      const columns = fileColumnsOf(metadata)
      const table = await find('columns', signal, () =>
        checkTable(runner, metadata, columns.flatMap(databaseColumnsOf)),
      )
      yield table
      if (table.status === 'problem') continue
      yield await find('triggers', signal, () => checkTriggers(runner, metadata, columns))
      for (const column of columns)
        yield await find('key-index', signal, () => checkKeyIndex(runner, metadata, column))
    }
    const stale = await find('triggers', signal, () => findStaleTriggers(runner))
    if (stale.status !== 'ok') yield stale
  } finally {
    await runner.release()
  }
}

type Result = string | Omit<Finding, 'check'>

function checkCopies(dataSource: DataSource): Result {
  if (dataSource instanceof DataSource) return 'the DataSource and this package share one copy of TypeORM'
  return {
    status: 'problem',
    message:
      'the DataSource is of another copy of TypeORM than this package has: uploads do not find its journal, and destroy() ' +
      'does not wait for deletions',
    fix: 'npm ls typeorm, then npm dedupe, or one version of it in all packages',
  }
}

async function checkDialect(dataSource: DataSource): Promise<Result> {
  if (await isMariadbAsMysql(dataSource)) {
    return { status: 'problem', message: mariadbMessage, fix: mariadbFix }
  }
  return `${dialectOf(dataSource)} is a database whose files have a lifecycle`
}

function checkFields(columns: FileColumn[]): Result {
  if (columns.length > 0) {
    const names = columns.map((column) => `${labelOf(column)} (${column.field.layout})`)
    return `file fields: ${names.join(', ')}`
  }
  return {
    status: 'warning',
    message: 'no entity of the DataSource has a file field',
    fix: '@S3FileField({ nullable: true }) file!: S3File | null, and the entity in DataSource.entities',
  }
}

function checkStorages(columns: FileColumn[]): Result {
  const configured = storageNames()
  const missing = columns.filter(({ field }) => !configured.includes(field.rules.storage ?? 'default'))
  if (missing.length === 0) return `configured storages: ${configured.join(', ')}`
  const names = [...new Set(missing.map(({ field }) => field.rules.storage ?? 'default'))]
  return {
    status: 'problem',
    message: `${missing.map(labelOf).join(', ')}: there is no storage ${names.map((name) => `'${name}'`).join(', ')}`,
    fix: `configureStorages({ ${names.map((name) => `${name}: new S3Storage({ bucket: '…' })`).join(', ')} })`,
  }
}

function checkSubscriber({ subscribers }: DataSource): Result {
  const ours = (subscribers as object[]).filter((subscriber) => lifecycleOfSubscriber in subscriber)
  if (ours.length === 1) return 'S3FileSubscriber is among the subscribers'
  const fix = 'new DataSource({ …, subscribers: [S3FileSubscriber] })'
  return ours.length === 0
    ? {
        status: 'problem',
        message:
          'S3FileSubscriber is not among the subscribers: the objects of replaced and removed files stay',
        fix,
      }
    : {
        status: 'problem',
        message: `S3FileSubscriber is among the subscribers ${ours.length} times, and each works off the same changes`,
        fix,
      }
}

async function checkJournal(runner: QueryRunner): Promise<Result> {
  const dataSource = dataSourceOf(runner)
  const journal = FileJournal.of(dataSource)
  if (journal === undefined) {
    const fix =
      'new DataSource({ …, entities: [ …, FileJournalEntry] }), then npx typeorm migration:generate, and a FileJanitor'
    return {
      status: 'warning',
      message: 'FileJournalEntry is not among the entities: a process that is killed leaves objects behind',
      fix,
    }
  }
  const table = await checkTable(runner, journal.metadata, journal.metadata.columns)
  if (typeof table !== 'string') return table
  const { indices = [] } = (await runner.getTable(journal.metadata.tablePath)) ?? {}
  if (!indices.some(({ name }) => name === keyIndex)) {
    return {
      status: 'warning',
      message: `table '${journal.metadata.tablePath}' has no index '${keyIndex}': each save of a file reads the whole journal`,
      fix: 'In a migration: await addJournalIndex(queryRunner)',
    }
  }
  const backlog = await readBacklog(runner.manager)
  if (backlog !== null && backlog.failing > 0) {
    return {
      status: 'warning',
      message: `the janitor has failed on ${backlog.failing} of ${backlog.entries} entries of the journal`,
      fix: `SELECT * FROM ${journal.metadata.tablePath} WHERE attempts > 0 says why, in its last error`,
    }
  }
  if (backlog !== null && backlog.due > 0) {
    return {
      status: 'warning',
      message: `${backlog.due} of ${backlog.entries} entries of the journal are due, the oldest of ${backlog.oldest?.toISOString()}: does a janitor run?`,
      fix: 'new FileJanitor(dataSource).start() in the application, or npx typeorm-s3-file janitor -d <file>',
    }
  }
  return `FileJournalEntry has its table, with ${backlog?.entries} entries and none due`
}

async function checkTriggers(
  runner: QueryRunner,
  metadata: EntityMetadata,
  columns: FileColumn[],
): Promise<Result> {
  const { name } = metadata
  if (columns.every(({ field }) => field.onReplace === 'keep' && field.onRemove === 'keep'))
    return `${name}: its objects stay, so it needs no triggers`
  const dataSource = dataSourceOf(runner)
  const cascade = uncoveredCascade(dataSource, metadata)
  if (FileJournal.of(dataSource) === undefined) {
    const message = `${name}: triggers write to the journal, which is not there`
    return cascade === undefined
      ? { status: 'skipped', message }
      : { status: 'warning', message: `${message}; ${cascade}` }
  }
  const fix = `In a migration: await createFileTriggers(queryRunner, ${name}); or: npx typeorm-s3-file triggers -d <file> --entity ${name}`
  const { state, differences } = await compareTriggers(runner, metadata)
  if (state === 'complete')
    return `${name} has triggers: bulk statements and raw SQL keep its objects and the journal in step too`
  if (state === 'outdated') {
    return {
      status: 'problem',
      message:
        `${name} has triggers that are not those of the entity as it is now (${differences.join('; ')}): they are not ` +
        'relied on, and may make statements fail',
      fix,
    }
  }
  const hint = dialectOf(dataSource) === 'mysql' ? ', or the user has no privilege TRIGGER to see them' : ''
  return {
    status: 'warning',
    message:
      `${name} has no triggers${hint}: update(), delete() of the query builder and raw SQL leave objects behind` +
      (cascade === undefined ? '' : `; ${cascade}`),
    fix,
  }
}

/** Finds triggers of tables whose entities have no file field any more. */
async function findStaleTriggers(runner: QueryRunner): Promise<Result> {
  const dataSource = dataSourceOf(runner)
  const stale: { name: string; triggers: string[] }[] = []
  for (const metadata of (await hasAnyTriggers(runner)) ? tablesOf(dataSource) : []) {
    if (fileColumnsOfTable(dataSource, metadata).length > 0) continue
    const triggers = (await installedTriggers(runner, metadata)).map((trigger) => trigger.name)
    if (triggers.length > 0) stale.push({ name: metadata.name, triggers })
  }
  if (stale.length === 0) return 'no table without file fields has triggers'
  const told = stale.map(({ name, triggers }) => `${name} (${triggers.join(', ')})`)
  return {
    status: 'problem',
    message: `${told.join(', ')}: triggers are left from file fields that are gone, and may make statements fail`,
    fix: `In a migration: ${stale.map(({ name }) => `await dropFileTriggers(queryRunner, ${name})`).join('; ')}`,
  }
}

/** With `layout: 'columns'` all parts of it. */
function databaseColumnsOf({ field, column }: FileColumn) {
  return field.layout === 'columns' ? (column.embeddedMetadata?.columns ?? []) : [column]
}
