import type { ObjectRef } from '../../src/core/object-ref.ts'
import type { LedgerEntry, UploadLedger } from '../../src/core/upload-ledger.ts'

/** A journal in memory: the keys that an upload has left an entry of. */
export class OpenEntries implements UploadLedger {
  readonly keys = new Set<string>()

  async open({ key }: ObjectRef): Promise<LedgerEntry> {
    this.keys.add(key)
    return {
      ledger: this,
      id: key,
      nameUpload: async () => undefined,
      keepAlive: () => undefined,
      close: async () => void this.keys.delete(key),
    }
  }
}
