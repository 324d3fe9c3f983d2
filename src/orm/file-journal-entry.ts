import { randomUUID } from 'node:crypto'
import { Column, Entity, Index, PrimaryColumn } from 'typeorm'
import type { ObjectRef } from '../core/object-ref.js'

/** How entities of this kind are told, whichever copy of the package made the class. */
export const journalBrand = Symbol.for('typeorm-s3-file.journal')

/**
 * Names an object that no row may refer to: an upload that is not saved yet, or a file that a row let go. With this
 * entity in `DataSource.entities` (and its table in the database) the lifecycle of files survives a crash. Rows are
 * written by uploads, by `S3FileSubscriber` and by triggers, and worked off by `FileJanitor`; times are ISO 8601 in
 * UTC.
 */
@Entity('file_journal')
export class FileJournalEntry {
  static readonly [journalBrand] = true

  @PrimaryColumn({ type: 'varchar', length: 36 })
  id!: string

  /** `upload`: on its way, or waiting for its row. `release`: a row referred to it. */
  @Column({ type: 'varchar', length: 10 })
  reason!: 'upload' | 'release'

  /** The storage's name. */
  @Column({ type: 'varchar', length: 100 })
  storage!: string

  @Column({ type: 'varchar', length: 1024 })
  key!: string

  /** Of the multipart upload, once it has begun. */
  @Column({ type: 'text', nullable: true })
  uploadId!: string | null

  /** When the entry was written. */
  @Column({ type: 'varchar', length: 24 })
  since!: string

  /** When the janitor may look at it: an upload has until then to be saved. */
  @Index()
  @Column({ type: 'varchar', length: 24 })
  dueAt!: string

  /** Until when a janitor has it. Once set, the object is given up: no row comes to refer to it any more. */
  @Column({ type: 'varchar', length: 24, nullable: true })
  claimedUntil!: string | null

  @Column({ type: 'varchar', length: 36, nullable: true })
  claimedBy!: string | null

  /** How often the janitor has failed on it. */
  @Column({ type: 'int', default: 0 })
  attempts!: number

  /** Why, the last time. */
  @Column({ type: 'text', nullable: true })
  lastError!: string | null
}

/** An entry that is due at once. */
export function newEntry(
  reason: FileJournalEntry['reason'],
  { storage, key }: ObjectRef,
  now = Date.now(),
): FileJournalEntry {
  return {
    id: randomUUID(),
    reason,
    storage,
    key,
    uploadId: null,
    since: iso(now),
    dueAt: iso(now),
    claimedUntil: null,
    claimedBy: null,
    attempts: 0,
    lastError: null,
  }
}

/** A time as entries have it: it sorts, and no driver moves it to another time zone. */
export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
