import {
  DeleteQueryBuilder,
  type EntityMetadata,
  InsertQueryBuilder,
  type ObjectLiteral,
  type QueryBuilder,
  type QueryRunner,
  UpdateQueryBuilder,
} from 'typeorm'
import type { S3File } from '../core/s3-file.js'
import { isUpload } from '../core/upload-ledger.js'
import { isOfExecutor } from './adapt-executor.js'
import { adaptsFirst } from './adapt-once.js'
import { assertRules } from './assert-rules.js'
import { FileChanges } from './file-changes.js'
import {
  assertFileValue,
  type FileColumn,
  fileColumnsOf,
  fileColumnsOfTable,
  filesIn,
  filesOf,
  insertedColumns,
} from './file-columns.js'
import { inTransaction } from './in-transaction.js'
import { hasLifecycle } from './lifecycle-options.js'
import { sourceOf } from './loaded-files.js'
import { rethrowRefusal } from './note-arrivals.js'
import { TransactionFiles } from './transaction-files.js'
import { dataSourceOf } from './typeorm-versions.js'
import { warnOfBulkWrite } from './warn-of-bulk-write.js'
import { warnOfNoSubscriber } from './warn-of-no-subscriber.js'

/**
 * Makes statements of query builders follow files, once in a process; `insert()`, `update()` and `upsert()` of a manager or
 * a repository are such statements too.
 */
export function adaptQueryBuilders(): void {
  if (!adaptsFirst(InsertQueryBuilder.prototype)) return
  const { execute: insert } = InsertQueryBuilder.prototype
  InsertQueryBuilder.prototype.execute = function () {
    const statement = statementOf(this)
    if (statement === undefined) return insert.call(this)
    const { expressionMap } = this
    const isCertain = !expressionMap.onIgnore && !expressionMap.onUpdate
    return withFiles(this, statement, {
      columns: insertedColumns(statement),
      valueSets: () => [expressionMap.valuesSet ?? []].flat() as ObjectLiteral[],
      execute: () => insert.call(this),
      outcome: () => (isCertain ? 'written' : 'unknown'),
      kind: 'insert',
    })
  }
  const { execute: update } = UpdateQueryBuilder.prototype
  UpdateQueryBuilder.prototype.execute = function () {
    const statement = statementOf(this)
    if (statement === undefined) return update.call(this)
    return withFiles(this, statement, {
      columns: fileColumnsOf(statement).filter(({ column }) => column.isUpdate),
      valueSets: () => [this.expressionMap.valuesSet ?? []].flat() as ObjectLiteral[],
      execute: () => update.call(this),
      outcome: ({ affected }) => (affected === undefined ? 'unknown' : affected > 0 ? 'written' : 'none'),
      kind: 'update',
    })
  }
  const { execute: remove } = DeleteQueryBuilder.prototype
  DeleteQueryBuilder.prototype.execute = async function () {
    const result = await remove.call(this)
    const metadata = statementOf(this)
    if (metadata === undefined || !hasLifecycle(dataSourceOf(this))) return result
    const columns = fileColumnsOfTable(dataSourceOf(this), metadata)
    if (columns.some(({ field }) => field.onRemove === 'delete')) {
      await warnOfBulkWrite(runnerOf(this) ?? dataSourceOf(this), metadata, 'delete')
    }
    return result
  }
}

/** The runner that a query builder was given. */
function runnerOf(builder: object): QueryRunner | undefined {
  return (builder as { queryRunner?: QueryRunner }).queryRunner
}

/** The entity with files of a statement that is not one of the executor's own. */
function statementOf(builder: QueryBuilder<ObjectLiteral>): EntityMetadata | undefined {
  const alias = builder.expressionMap.mainAlias
  if (isOfExecutor() || !alias?.hasMetadata) return undefined
  return fileColumnsOfTable(dataSourceOf(builder), alias.metadata).length > 0 ? alias.metadata : undefined
}

type Outcome = 'written' | 'none' | 'unknown'

interface Statement<Result> {
  columns: FileColumn[]
  /** What is written: asked for again after listeners and subscribers have seen it. */
  valueSets: () => ObjectLiteral[]
  execute: () => Promise<Result>
  /** Whether rows refer to the files now. */
  outcome: (result: Result) => Outcome
  kind: 'insert' | 'update'
}

/** Runs a statement of a query builder; in a transaction, when it gives files to rows. */
async function withFiles<Result>(
  builder: InsertQueryBuilder<ObjectLiteral> | UpdateQueryBuilder<ObjectLiteral>,
  metadata: EntityMetadata,
  { columns, valueSets, execute, outcome, kind }: Statement<Result>,
): Promise<Result> {
  const dataSource = dataSourceOf(builder)
  const files = () =>
    valueSets().flatMap((values) => columns.flatMap((column) => filesOf(column, values) ?? []))
  if (!hasLifecycle(dataSource)) {
    if (files().length > 0) warnOfNoSubscriber(dataSource)
    return execute()
  }
  const isReplacing = columns.some(
    (column) =>
      column.field.onReplace === 'delete' &&
      valueSets().some((values) => column.valueIn(values) !== undefined),
  )
  const given = runnerOf(builder)
  const runner = given ?? dataSource.createQueryRunner('master')
  try {
    if (given === undefined) builder.setQueryRunner(runner)
    assertFileValues(columns, valueSets())
    const early = files()
    if (early.length === 0) {
      const result = await execute()
      if (isReplacing && kind === 'update') await warnOfBulkWrite(runner, metadata, kind)
      return result
    }
    const work = async () => {
      const changes = await holdAll(runner, metadata, early)
      const result = await execute().catch((error: unknown) => {
        // A listener may have set others since.
        TransactionFiles.of(runner).offer(files().filter(isUpload))
        throw error
      })
      assertFileValues(columns, valueSets()) // What a listener has set, too.
      const late = files().filter((file) => !early.includes(file))
      for (const some of [changes, await holdAll(runner, metadata, late, true)])
        await settle(some, outcome(result))
      if (isReplacing && (kind === 'update' || outcome(result) === 'unknown')) {
        await warnOfBulkWrite(runner, metadata, kind)
      }
      return result
    }
    return await inTransaction(runner, work).catch(rethrowRefusal)
  } finally {
    if (given === undefined) {
      builder.setQueryRunner(undefined as never)
      await runner.release()
    }
  }
}

/**
 * Refuses what is no file before TypeORM looks for its parts, and files that do not fit the field. An expression of SQL is
 * the caller's own.
 *
 * @throws UploadError `not-a-file`; ConfigurationError `invalid-value`.
 */
function assertFileValues(columns: FileColumn[], valueSets: ObjectLiteral[]): void {
  for (const values of valueSets) {
    for (const column of columns) {
      const value = column.valueIn(values)
      if (typeof value === 'function') continue
      assertFileValue(column, value)
      assertRules(column, value, valuesOfSources(column, value))
    }
  }
}

/** What the rows have, in the same column, that the files were read from: the rules may be stricter by now. */
function valuesOfSources(column: FileColumn, value: unknown): unknown[] {
  return filesIn(value).flatMap((file) => {
    const source = sourceOf(file)
    const isOfTable = source?.metadata.tablePath === column.column.entityMetadata.tablePath
    return isOfTable ? [column.valueIn(source.entity)] : []
  })
}

async function holdAll(
  runner: QueryRunner,
  metadata: EntityMetadata,
  files: S3File[],
  isWritten = false,
): Promise<FileChanges> {
  const changes = new FileChanges(runner)
  changes.insert(metadata, files)
  await changes.hold(isWritten)
  return changes
}

async function settle(changes: FileChanges, outcome: Outcome): Promise<void> {
  if (outcome === 'written') await changes.record()
  else if (outcome === 'none') changes.withdraw()
  else changes.leaveOpen()
}
