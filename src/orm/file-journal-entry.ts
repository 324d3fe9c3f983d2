import { Column, Entity, Index, PrimaryColumn } from 'typeorm'
import { journalBrand } from './entry-values.js'
import { registerJournals } from './file-journal.js'

// Here, not where a subscriber is made: a process that only uploads may have the entity alone.
registerJournals()

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
