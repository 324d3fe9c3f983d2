import type { DeleteFailure } from '../../src/core/file-storage.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'

/** A storage that counts how often each object is deleted, and refuses to delete those it is told to keep. */
export class CountingStorage extends MemoryStorage {
  readonly deletions = new Map<string, number>()
  readonly refused = new Set<string>()

  override async deleteMany(keys: Iterable<string>): Promise<DeleteFailure[]> {
    const [failures, others]: [DeleteFailure[], string[]] = [[], []]
    for (const key of keys) {
      this.deletions.set(key, (this.deletions.get(key) ?? 0) + 1)
      if (this.refused.has(key)) failures.push({ key, error: new Error('refused') })
      else others.push(key)
    }
    return [...failures, ...(await super.deleteMany(others))]
  }
}
