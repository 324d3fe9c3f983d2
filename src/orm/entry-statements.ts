import type { EntityManager, EntityTarget } from 'typeorm'
import type { FileJournalEntry } from './file-journal-entry.js'

/** Statements about entries of one journal, which tell no listener. */
export class EntryStatements {
  readonly #target: EntityTarget<FileJournalEntry>

  constructor(target: EntityTarget<FileJournalEntry>) {
    this.#target = target
  }

  async insert(manager: EntityManager, entries: FileJournalEntry[]): Promise<void> {
    if (entries.length === 0) return
    await manager
      .createQueryBuilder()
      .insert()
      .into(this.#target)
      .values(entries)
      .orIgnore()
      .callListeners(false)
      .updateEntity(false)
      .execute()
  }

  /** @returns how many entries were changed. */
  async update(
    manager: EntityManager,
    where: object | object[],
    change: Partial<FileJournalEntry>,
  ): Promise<number> {
    const result = await manager
      .createQueryBuilder()
      .update(this.#target)
      .set(change)
      .where(where)
      .callListeners(false)
      .updateEntity(false)
      .execute()
    return result.affected ?? 0
  }

  /** @returns how many entries were deleted. */
  async delete(manager: EntityManager, where: object): Promise<number> {
    const result = await manager
      .createQueryBuilder()
      .delete()
      .from(this.#target)
      .where(where)
      .callListeners(false)
      .execute()
    return result.affected ?? 0
  }
}
