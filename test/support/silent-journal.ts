import type { LedgerEntry, UploadLedger } from '../../src/core/upload-ledger.ts'

/** A journal whose database does not answer one of its steps any more. */
export class SilentJournal implements UploadLedger {
  /** Whether it was asked what it does not answer. */
  isAsked = false
  /** Entries that were taken back. */
  closedEntries = 0
  readonly #silentStep: 'open' | 'nameUpload' | 'close'

  constructor(silentStep: 'open' | 'nameUpload' | 'close') {
    this.#silentStep = silentStep
  }

  open(): Promise<LedgerEntry> {
    return this.#answer('open', {
      ledger: this,
      id: '1',
      nameUpload: () => this.#answer('nameUpload', undefined),
      keepAlive: () => undefined,
      close: async () => {
        await this.#answer('close', undefined)
        this.closedEntries++
      },
    })
  }

  async #answer<Answer>(step: string, answer: Answer): Promise<Answer> {
    if (step !== this.#silentStep) return answer
    this.isAsked = true
    return new Promise(() => undefined)
  }
}
