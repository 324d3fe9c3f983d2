import type { DataSource } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import type { FileField } from '../core/file-field.js'
import { isSameLedger, ledgersOf, registerLedger, type UploadLedger } from '../core/upload-ledger.js'
import { whileInitialized } from './data-source-hooks.js'
import { allFileColumns } from './file-columns.js'
import { FileJournal } from './file-journal.js'
import { addJournalIndex } from './journal-index.js'

/** From now on uploads find the journal of each DataSource that has the entity. */
export function registerJournals(): void {
  whileInitialized('journal', async (dataSource) => {
    const journal = FileJournal.of(dataSource)
    if (journal === undefined) return undefined
    if (dataSource.options.synchronize)
      await journal.run('make its index', (_, runner) => addJournalIndex(runner))
    const fields = new Set(allFileColumns(dataSource).map(({ field }) => field))
    warnOfAmbiguity(journal, fields)
    return registerLedger({ ledger: journal, knows: (field) => fields.has(field) })
  })
}

/** Uploads into a field that rows of two databases have are refused until they name one: better said before the first. */
function warnOfAmbiguity(journal: FileJournal, fields: ReadonlySet<FileField>): void {
  const shared = [...fields].filter((field) =>
    ledgersOf(field).some((other) => !isSameLedger(journal, other)),
  )
  if (shared.length === 0) return
  process.emitWarning(
    `several databases with a file journal have ${shared.map(({ label }) => label).join(', ')}: uploads into these fields need ` +
      "the option 'journal': fileJournal(dataSource)",
    { code: 'S3FILE_JOURNALS' },
  )
}

/**
 * The journal of a DataSource, for `uploadFromRequest(req, { journal: fileJournal(dataSource) })` where several
 * databases have one.
 *
 * @throws ConfigurationError `invalid-option` for a DataSource without `FileJournalEntry`.
 */
export function fileJournal(dataSource: DataSource): UploadLedger {
  const journal = FileJournal.of(dataSource)
  if (journal === undefined) {
    throw new ConfigurationError(
      'invalid-option',
      'fileJournal: this DataSource has no FileJournalEntry among its entities, or is not initialized yet',
    )
  }
  return journal
}
