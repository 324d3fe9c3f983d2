import type { DataSource } from 'typeorm'
import { JournalError } from '../core/errors.js'
import { type ObjectRef, refId } from '../core/object-ref.js'
import { type GivenUp, type RowKeeper, registerKeeper } from '../core/upload-ledger.js'
import { whileInitialized } from './data-source-hooks.js'
import { allFileColumns } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { findReferred } from './file-references.js'
import { sharesConnection } from './file-sql.js'
import { inTime } from './in-time.js'
import { claimObject, giveBack } from './journal-claims.js'
import { onRunner } from './on-runner.js'

/** Tells `discard()` whether rows of a DataSource refer to an object, and keeps them from coming to do so. */
class DataSourceRows implements RowKeeper {
  readonly #dataSource: DataSource

  constructor(dataSource: DataSource) {
    this.#dataSource = dataSource
  }

  giveUp(object: ObjectRef, isFresh: boolean): Promise<GivenUp | null> {
    return inTime('the database could not tell whether a row refers to the file', undefined, async (stop) => {
      const given = await this.#giveUp(object, isFresh, stop)
      if (stop.aborted) await given?.undo()
      return given
    })
  }

  async #giveUp(object: ObjectRef, isFresh: boolean, stop: AbortSignal): Promise<GivenUp | null> {
    const journal = FileJournal.of(this.#dataSource)
    const claim = journal && (await claimObject(journal, object, stop))
    if (claim === null) return null
    const ids = claim?.entries.map(({ id }) => id) ?? []
    const given: GivenUp = {
      confirm: async () => journal?.remove(ids, claim?.token),
      undo: async () => claim && giveBack(journal as FileJournal, claim),
    }
    try {
      if (!(await this.#isReferred(object, isFresh))) return given
    } catch (error) {
      await given.undo()
      throw error
    }
    await given.undo()
    return null
  }

  async #isReferred(object: ObjectRef, isFresh: boolean): Promise<boolean> {
    try {
      return await onRunner(this.#dataSource, async (runner) => {
        // What is committed cannot be seen now, and the transaction may be that of whoever waits for this.
        if (sharesConnection(this.#dataSource) && runner.isTransactionActive) return !isFresh
        return (await findReferred(runner, [object])).has(refId(object))
      })
    } catch (error) {
      throw new JournalError(
        'journal-failed',
        'the database could not tell whether a row refers to the file',
        { cause: error },
      )
    }
  }
}

/** From now on `discard()` asks each DataSource that has file columns. */
export function keepRows(): void {
  whileInitialized('rows', async (dataSource) =>
    allFileColumns(dataSource).length === 0 ? undefined : registerKeeper(new DataSourceRows(dataSource)),
  )
}
