import { EventEmitter } from 'node:events'
import type { DataSource, EntitySubscriberInterface, QueryRunner } from 'typeorm'
import { getStorage } from 'typeorm-s3-file'
import { Journal, journalTable } from './journal.js'

/** What has become of an object, as far as the journal tells. */
export interface JournalLine {
  key: string
  storage: string
  /**
   * `open`: an upload that no row has yet. `saved`: a row has it, its entry is struck. `let-go`: no row has it any more.
   * `deleted`: the object is gone, and its entry with it.
   */
  phase: 'open' | 'saved' | 'let-go' | 'deleted'
  /** ISO 8601. */
  changedAt: string
  /** When the janitor looks at an object that is not saved, or was let go. ISO 8601. */
  dueAt?: string
  /** Why it could not be deleted so far. */
  error?: string
}

/** Objects that are remembered here. */
const maxLines = 20

/**
 * Makes the journal visible: TypeORM tells it of each statement, and when one has written to the journal it looks what
 * is there now. This is for the page only; an application needs nothing of the kind.
 */
export class JournalFeed
  extends EventEmitter<{ change: [JournalLine[]] }>
  implements EntitySubscriberInterface
{
  readonly #dataSource: DataSource
  readonly #deleteAfterSeconds: number
  readonly #changing = new WeakSet<QueryRunner>()
  #lines = new Map<string, JournalLine>()
  #looking = Promise.resolve()
  #isToLook = false
  #hasNews = false

  constructor(dataSource: DataSource, deleteAfterSeconds: number) {
    super()
    this.setMaxListeners(0) // One for each page that is open.
    this.#dataSource = dataSource
    this.#deleteAfterSeconds = deleteAfterSeconds
    dataSource.subscribers.push(this)
  }

  /** The latest change first. */
  get lines(): JournalLine[] {
    return [...this.#lines.values()].reverse()
  }

  afterQuery({ query, queryRunner }: { query: string; queryRunner: QueryRunner }): void {
    if (!/^(INSERT|UPDATE|DELETE)/.test(query) || !query.includes(journalTable)) return
    this.#changing.add(queryRunner)
    this.#look()
  }

  afterTransactionCommit({ queryRunner }: { queryRunner: QueryRunner }): void {
    if (this.#changing.delete(queryRunner)) this.#look()
  }

  async stop(): Promise<void> {
    this.#dataSource.subscribers.splice(this.#dataSource.subscribers.indexOf(this), 1)
    await this.#looking
  }

  /** One look after the other, none of which may fail a statement. */
  #look(): void {
    if (this.#isToLook) return
    this.#isToLook = true
    this.#looking = this.#looking.then(() => this.#compare()).catch((error: unknown) => console.error(error))
  }

  async #compare(): Promise<void> {
    this.#isToLook = false
    const entries = await this.#dataSource.getRepository(Journal).find()
    for (const { key, storage, reason, since, dueAt, lastError } of entries) {
      const phase = reason === 'upload' ? 'open' : 'let-go'
      const letGoUntil = new Date(Date.parse(since) + this.#deleteAfterSeconds * 1000).toISOString()
      this.#put({
        key,
        storage,
        phase,
        dueAt: phase === 'open' ? dueAt : letGoUntil,
        ...(lastError !== null && { error: lastError }),
      })
    }
    const named = new Set(entries.map(({ key }) => key))
    for (const { key, storage, phase } of this.lines) {
      if (named.has(key) || phase === 'saved' || phase === 'deleted') continue
      // An entry is struck when a row has the object, or when the object is gone.
      const isThere = (await getStorage(storage).stat(key)) !== null
      this.#put({ key, storage, phase: isThere ? 'saved' : 'deleted' })
    }
    if (!this.#hasNews) return
    this.#hasNews = false
    this.emit('change', this.lines)
  }

  #put(line: Omit<JournalLine, 'changedAt'>): void {
    const before = this.#lines.get(line.key)
    const { phase, dueAt, error } = line
    if (before?.phase === phase && before.dueAt === dueAt && before.error === error) return
    this.#lines.delete(line.key)
    this.#lines.set(line.key, { ...line, changedAt: new Date().toISOString() })
    this.#lines = new Map([...this.#lines].slice(-maxLines))
    this.#hasNews = true
  }
}
