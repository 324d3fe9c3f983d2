import { AsyncLocalStorage } from 'node:async_hooks'
import type { ObjectLiteral, QueryRunner } from 'typeorm'
import type { Subject } from 'typeorm/persistence/Subject.js'
import { SubjectChangedColumnsComputer } from 'typeorm/persistence/SubjectChangedColumnsComputer.js'
import { SubjectExecutor } from 'typeorm/persistence/SubjectExecutor.js'
import { ConfigurationError } from '../core/errors.js'
import { adaptsFirst } from './adapt-once.js'
import { assertRules } from './assert-rules.js'
import { FileChanges, type RowUpdate } from './file-changes.js'
import {
  assertFileValue,
  columnsWith,
  type FileColumn,
  fileColumnsOf,
  fileColumnsOfTable,
  filesIn,
  insertedColumns,
  setFile,
} from './file-columns.js'
import { inTransaction } from './in-transaction.js'
import { hasLifecycle } from './lifecycle-options.js'
import { copyOf, isSameValue, keepLoaded, loadedValue, noteSaved, noteSeen } from './loaded-files.js'
import { rethrowRefusal } from './note-arrivals.js'
import { TransactionFiles } from './transaction-files.js'
import { dataSourceOf } from './typeorm-versions.js'
import { warnOfNoSubscriber } from './warn-of-no-subscriber.js'

/*
 * TypeORM (0.3.31 to 1.1) has no event that would do. Its events come while the listeners of others still run, not at all
 * with `listeners: false`, and say nothing of the rows of a query builder; and `save()` compares an entity with the row as
 * it is now, not as it was loaded. So the two places that all writes pass learn of files: here the executor of `save()`
 * and `remove()`, in adapt-query-builders.ts `execute()` of the query builders.
 */

/**
 * Where TypeORM's executor is: at its own `statements`, which are known already, or at those of another one that a hook of
 * theirs has called, `nested`.
 */
const insideExecutor = new AsyncLocalStorage<'statements' | 'nested' | undefined>()

/** The parts of TypeORM's executor that are used here. */
interface Executor {
  queryRunner: QueryRunner
  allSubjects: Subject[]
  insertSubjects: Subject[]
  updateSubjects: Subject[]
  removeSubjects: Subject[]
  softRemoveSubjects: Subject[]
  recoverSubjects: Subject[]
  execute: () => Promise<void>
  executeInsertOperations: () => Promise<void>
  executeUpdateOperations: () => Promise<void>
  executeRemoveOperations: () => Promise<void>
  executeSoftRemoveOperations: () => Promise<void>
  executeRecoverOperations: () => Promise<void>
  updateSpecialColumnsInPersistedEntities: () => void
}

/** What an executor does to files, from its first statement to its last. */
interface ExecutorChanges {
  changes: FileChanges
  updates: RowUpdate[]
  /** Lets the next one begin. */
  endTurn: () => void
}

/** Executors of one transaction, which locks do not keep from each other: what one looks at, another one may write. */
const turns = new WeakMap<QueryRunner, Promise<void>>()
const changesOf = new WeakMap<Executor, ExecutorChanges>()

/**
 * What a subject writes to its file columns: the values that TypeORM has compared. The application may give the entity
 * others while the statement is on its way; those belong to its next `save()`.
 */
const valuesOf = new WeakMap<Subject, Map<FileColumn, unknown>>()

/** Whether a statement of the executor's own runs now: what it does to files is known. */
export function isOfExecutor(): boolean {
  return insideExecutor.getStore() === 'statements'
}

/** Makes `save()`, `remove()` and their kin follow files, once in a process. */
export function adaptExecutor(): void {
  const executor = SubjectExecutor.prototype as unknown as Executor
  if (!adaptsFirst(executor)) return
  assertKnown(executor)
  adaptComparison()
  adaptOperations(executor)
}

function assertKnown(executor: Executor): void {
  const computer = SubjectChangedColumnsComputer.prototype as unknown as { computeDiffColumns?: unknown }
  const known: unknown[] = [
    computer.computeDiffColumns,
    executor.execute,
    executor.executeInsertOperations,
    executor.executeUpdateOperations,
    executor.executeRemoveOperations,
    executor.executeSoftRemoveOperations,
    executor.executeRecoverOperations,
    executor.updateSpecialColumnsInPersistedEntities,
  ]
  if (known.every((method) => typeof method === 'function')) return
  throw new ConfigurationError(
    'invalid-option',
    'typeorm-s3-file does not know this version of TypeORM: install one of the range in its peerDependencies',
  )
}

/** A value that is the same as the one that was loaded belongs in no UPDATE, whatever the row has by now. */
function adaptComparison(): void {
  const computer = SubjectChangedColumnsComputer.prototype as unknown as {
    computeDiffColumns: (subject: Subject) => void
  }
  const { computeDiffColumns } = computer
  computer.computeDiffColumns = function (subject) {
    const { metadata, entity, databaseEntity } = subject
    const columns = entity === undefined ? [] : fileColumnsOf(metadata)
    for (const column of columns) assertFileValue(column, column.valueIn(entity as ObjectLiteral))
    computeDiffColumns.call(this, subject)
    if (entity === undefined || columns.length === 0) return
    const values = new Map(columns.map((column) => [column, copyOf(column.valueIn(entity))]))
    valuesOf.set(subject, values)
    for (const column of columns) {
      const value = values.get(column)
      if (Array.isArray(value)) setChange(subject, column, value)
      const loaded = loadedValue(metadata, entity, column)
      if (filesIn(value).length > 0) warnOfNoSubscriber(dataSourceOf(metadata))
      assertRules(column, value, [databaseEntity && column.valueIn(databaseEntity), loaded?.value])
      if (databaseEntity === undefined || loaded === undefined) continue
      if (!isSameValue(loaded.value, value)) {
        // What it was given, the row has already.
        if (isSameValue(value, column.valueIn(databaseEntity))) noteSeen(metadata, entity, filesIn(value))
        continue
      }
      const parts = new Set<unknown>(column.parts)
      subject.changeMaps = subject.changeMaps.filter((change) => !parts.has(change.column))
      subject.diffColumns = subject.diffColumns.filter((changed) => !parts.has(changed))
    }
  }
}

function adaptOperations(executor: Executor): void {
  const { execute, executeInsertOperations, executeRecoverOperations } = executor
  const { updateSpecialColumnsInPersistedEntities } = executor

  executor.execute = function () {
    const { queryRunner } = this
    if (!hasLifecycle(dataSourceOf(queryRunner)) || !this.allSubjects.some(hasFiles))
      return execute.call(this)
    const own: ExecutorChanges = {
      changes: new FileChanges(queryRunner),
      updates: [],
      endTurn: () => undefined,
    }
    changesOf.set(this, own)
    const place = insideExecutor.getStore() === undefined ? undefined : 'nested'
    const work = () => insideExecutor.run(place, () => execute.call(this)).finally(() => own.endTurn())
    // `save(…, { transaction: false })` too: an object and its row change together, or not at all.
    return inTransaction(queryRunner, work).catch(rethrowRefusal)
  }

  // The first of its statements, after all that other listeners and subscribers have set.
  executor.executeInsertOperations = async function () {
    const own = changesOf.get(this)
    if (own === undefined) return executeInsertOperations.call(this)
    if (insideExecutor.getStore() === undefined) await takeTurn(this.queryRunner, own)
    await insideExecutor.run('statements', async () => {
      await lookAhead(this, own)
      await executeInsertOperations.call(this)
    })
  }
  for (const name of [
    'executeUpdateOperations',
    'executeRemoveOperations',
    'executeSoftRemoveOperations',
  ] as const) {
    const operations = executor[name]
    executor[name] = function () {
      const work = () => operations.call(this)
      return changesOf.has(this) ? insideExecutor.run('statements', work) : work()
    }
  }
  // The last of them.
  executor.executeRecoverOperations = async function () {
    const own = changesOf.get(this)
    if (own === undefined) return executeRecoverOperations.call(this)
    await insideExecutor.run('statements', async () => {
      await executeRecoverOperations.call(this)
      await own.changes.record()
    })
    own.endTurn()
  }

  // TypeORM sets null where an entity has nothing (https://github.com/typeorm/typeorm/issues/9579): the next `save()`
  // would clear a column that was never loaded.
  executor.updateSpecialColumnsInPersistedEntities = function () {
    const written = [...this.updateSubjects, ...this.softRemoveSubjects, ...this.recoverSubjects]
    const missing = written.flatMap(({ metadata, entity }) =>
      fileColumnsOf(metadata)
        .filter((column) => entity !== undefined && column.valueIn(entity) === undefined)
        .map((column) => ({ column, entity: entity as ObjectLiteral })),
    )
    updateSpecialColumnsInPersistedEntities.call(this)
    for (const { column, entity } of missing) setFile(column, entity, undefined)
    const own = changesOf.get(this)
    if (own !== undefined) rememberWritten(this, own)
  }
}

async function takeTurn(runner: QueryRunner, own: ExecutorChanges): Promise<void> {
  const previous = turns.get(runner)
  turns.set(
    runner,
    new Promise((resolve) => {
      own.endTurn = resolve
    }),
  )
  await previous
}

async function lookAhead(executor: Executor, own: ExecutorChanges): Promise<void> {
  const { changes } = own
  for (const subject of executor.insertSubjects) {
    for (const column of insertedColumns(subject.metadata)) {
      changes.insert(subject.metadata, filesIn(valuesOf.get(subject)?.get(column)))
    }
  }
  own.updates = executor.allSubjects.filter(({ mustBeUpdated }) => mustBeUpdated).flatMap(updateOf)
  await changes.update(own.updates)
  await changes.remove(
    executor.removeSubjects.map(({ metadata, entity, databaseEntity, identifier }) => ({
      metadata,
      entity,
      databaseEntity,
      id: identifier,
    })),
  )
  await changes.hold()
}

function updateOf(subject: Subject): RowUpdate[] {
  const { metadata, entity, databaseEntity, identifier } = subject
  const changed = new Set(subject.changeMaps.map(({ column }) => column))
  const columns = columnsWith(metadata, (column) => column.isUpdate && changed.has(column))
  if (entity === undefined || identifier === undefined || columns.length === 0) return []
  const values = valuesOf.get(subject) ?? new Map<FileColumn, unknown>()
  const onMerge = (column: FileColumn, value: unknown) => {
    if (isSameValue(column.valueIn(entity), values.get(column))) setFile(column, entity, copyOf(value))
    values.set(column, value)
    setChange(subject, column, value)
  }
  return [{ metadata, entity, databaseEntity, id: identifier, columns, values, onMerge }]
}

/** Makes the statement write that value of a column that is one. */
function setChange({ changeMaps }: Subject, { column }: FileColumn, value: unknown): void {
  for (const change of changeMaps) if (change.column === column) change.value = value as ObjectLiteral
}

function rememberWritten(executor: Executor, { updates }: ExecutorChanges): void {
  const keep = (entity: ObjectLiteral) =>
    TransactionFiles.of(executor.queryRunner).onForget(keepLoaded(entity))
  for (const subject of executor.insertSubjects) {
    const { metadata, entity } = subject
    const columns = fileColumnsOf(metadata)
    if (entity === undefined || columns.length === 0) continue
    keep(entity)
    const values = valuesOf.get(subject)
    // What was not given is NULL now; where TypeORM has set that, it is known.
    const written = columns.map((column) => [column, values?.get(column) ?? null] as const)
    noteSaved(metadata, entity, new Map(written))
  }
  for (const { metadata, entity, columns, values } of updates) {
    keep(entity)
    noteSaved(metadata, entity, new Map(columns.map((column) => [column, values.get(column)])))
  }
  for (const subject of executor.updateSubjects) {
    const agreed = agreedValues(subject)
    if (subject.entity === undefined || agreed.size === 0) continue
    keep(subject.entity)
    noteSaved(subject.metadata, subject.entity, agreed)
  }
}

/** What an object that was never loaded says, and its row has had already: the next `save()` of it changes nothing there. */
function agreedValues(subject: Subject): Map<FileColumn, unknown> {
  const { metadata, entity, databaseEntity } = subject
  const agreed = new Map<FileColumn, unknown>()
  if (entity === undefined || databaseEntity === undefined) return agreed
  for (const [column, value] of valuesOf.get(subject) ?? []) {
    if (value === undefined || loadedValue(metadata, entity, column) !== undefined) continue
    if (isSameValue(value, column.valueIn(databaseEntity))) agreed.set(column, value)
  }
  return agreed
}

/** Of the table: a row of a child entity may be removed through its parent. */
function hasFiles({ metadata }: Subject): boolean {
  return fileColumnsOfTable(dataSourceOf(metadata), metadata).length > 0
}
