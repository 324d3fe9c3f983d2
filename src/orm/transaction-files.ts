import type { QueryRunner } from 'typeorm'
import { type ObjectRef, refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'

/** What happened to files at one level: in the transaction, or within a savepoint of it. */
interface Level {
  /** Uploads that were given to a row, whether or not the statement then succeeded. */
  offered: Set<S3File>
  /** Uploads that a row refers to, or may do. */
  attached: Set<S3File>
  /** Uploads of statements that found no row. */
  untaken: Set<S3File>
  released: ObjectRef[]
  /** Uploads of savepoints that were rolled back, or for rows that were not there any more. */
  undone: Set<S3File>
  /** What was written in this transaction and is to be written again when it is rolled back. */
  onUndo: (() => Promise<void>)[]
  /** Makes entities remember again what they held before. */
  forget: (() => void)[]
}

const filesByRunner = sharedState('transactions', () => new WeakMap<QueryRunner, TransactionFiles>())

/**
 * What the transaction of one query runner does to files, level by level. TypeORM broadcasts commit and rollback for
 * savepoints too, so a level is handed down to the one below it; only what the lowest one has counts.
 */
export class TransactionFiles {
  /** Whether COMMIT was sent: if no answer comes, nobody knows. */
  isCommitTried = false
  readonly #runner: QueryRunner
  readonly #levels: Level[] = []

  private constructor(runner: QueryRunner) {
    this.#runner = runner
  }

  static of(runner: QueryRunner): TransactionFiles {
    let files = filesByRunner.get(runner)
    if (files === undefined) {
      files = new TransactionFiles(runner)
      filesByRunner.set(runner, files)
    }
    return files
  }

  static find(runner: QueryRunner): TransactionFiles | undefined {
    return filesByRunner.get(runner)
  }

  /** The transaction is over, or a new one has begun on its connection. */
  static forget(runner: QueryRunner): void {
    filesByRunner.delete(runner)
  }

  offer(files: Iterable<S3File>): void {
    for (const file of files) this.#top().offered.add(file)
  }

  attach(files: Iterable<S3File>): void {
    for (const file of files) this.#top().attached.add(file)
  }

  /** No row has taken them: after a COMMIT they are as they were before. */
  withdraw(files: Iterable<S3File>): void {
    const { offered, untaken } = this.#top()
    for (const file of files) if (offered.delete(file)) untaken.add(file)
  }

  undo(files: Iterable<S3File>): void {
    for (const file of files) this.#top().undone.add(file)
  }

  release(released: readonly ObjectRef[]): void {
    this.#top().released.push(...released)
  }

  onUndo(write: () => Promise<void>): void {
    this.#top().onUndo.push(write)
  }

  onForget(forget: () => void): void {
    this.#top().forget.push(forget)
  }

  /** The uploads that rows refer to when all is committed now. */
  get attached(): Iterable<S3File> {
    return this.#levels[0]?.attached ?? []
  }

  /** A savepoint was released: what it did is now its parent's. */
  releaseSavepoint(): void {
    const above = this.#takeAbove()
    if (above === undefined) return
    const top = this.#top()
    for (const file of above.offered) top.offered.add(file)
    for (const file of above.attached) top.attached.add(file)
    for (const file of above.untaken) top.untaken.add(file)
    for (const file of above.undone) top.undone.add(file)
    top.released.push(...above.released)
    top.onUndo.push(...above.onUndo)
    top.forget.push(...above.forget)
  }

  /** A savepoint was rolled back: what it did is undone, whatever becomes of its parent. */
  rollBackSavepoint(): (() => Promise<void>)[] {
    const above = this.#takeAbove()
    if (above === undefined) return []
    const top = this.#top()
    for (const file of uploadsIn(above)) top.undone.add(file)
    top.onUndo.push(...above.onUndo) // What is written again now is undone again with the parent.
    forgetAll(above)
    return above.onUndo
  }

  /** The database has rolled all back by itself, as MariaDB does at a deadlock; TypeORM goes on in what it takes for the transaction. */
  undoAll(): void {
    const undone = new Set(this.#levels.flatMap((level) => [...uploadsIn(level)]))
    for (const level of this.#levels.toReversed()) forgetAll(level)
    for (const [depth, level] of this.#levels.entries()) {
      this.#levels[depth] = { ...newLevel(), undone: depth === 0 ? undone : new Set(), onUndo: level.onUndo }
    }
  }

  /**
   * What a COMMIT settles: uploads that rows refer to now, uploads that none does, and objects that were released.
   *
   * @param isLast whether no other `save()` can be under way on the connection, one that has only offered its uploads.
   */
  committed(isLast: boolean): { attached: Set<S3File>; unused: S3File[]; released: ObjectRef[] } {
    const { offered, attached, undone, released } = this.#levels[0] ?? newLevel()
    const kept = new Set([...attached].map(refId))
    const unused = new Set([...(isLast ? offered : []), ...undone])
    return { attached, unused: [...unused].filter((file) => !kept.has(refId(file))), released }
  }

  /** What a rollback of the whole transaction leaves without a row. */
  rolledBack(): { unused: S3File[]; onUndo: (() => Promise<void>)[] } {
    for (const level of this.#levels.toReversed()) forgetAll(level)
    const unused = new Set(this.#levels.flatMap((level) => [...uploadsIn(level)]))
    return { unused: [...unused], onUndo: this.#levels.flatMap(({ onUndo }) => onUndo) }
  }

  #top(): Level {
    const depth = Math.max(depthOf(this.#runner), 1)
    while (this.#levels.length < depth) this.#levels.push(newLevel())
    return this.#levels[depth - 1] as Level
  }

  /** The level that has just ended. */
  #takeAbove(): Level | undefined {
    return this.#levels.splice(depthOf(this.#runner))[0]
  }
}

/** How many transactions deep a query runner is: 1 in a transaction, 2 in a savepoint of it. */
export function depthOf(runner: QueryRunner): number {
  return (runner as unknown as { transactionDepth: number }).transactionDepth
}

function newLevel(): Level {
  return {
    offered: new Set(),
    attached: new Set(),
    untaken: new Set(),
    released: [],
    undone: new Set(),
    onUndo: [],
    forget: [],
  }
}

function* uploadsIn({ offered, attached, untaken, undone }: Level): Generator<S3File> {
  for (const files of [offered, attached, untaken, undone]) yield* files
}

/** Last first: an entity may have been saved several times. */
function forgetAll({ forget }: Level): void {
  for (const undo of forget.toReversed()) undo()
}
