import { Column, Entity, Index, PrimaryColumn } from 'typeorm'
import { journalBrand, keyIndex } from './entry-values.js'
import { registerJournals } from './register-journals.js'

// Here, not where a subscriber is made: a process that only uploads may have the entity alone.
registerJournals()

/**
 * Names an object that no row may refer to: an upload that is not saved yet, or a file that a row let go. With this
 * entity in `DataSource.entities` (and its table in the database) the lifecycle of files survives a crash. Rows are
 * written by uploads, by `S3FileSubscriber` and by triggers, and worked off by `FileJanitor`; times are ISO 8601 in
 * UTC.
 */
@Entity('file_journal')
// MySQL takes only a part of a key of 1,024 characters into an index, which TypeORM cannot say: `addJournalIndex()` does.
@Index(keyIndex, { synchronize: false })
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

  /**
   * When a janitor may take it: an upload has until then to be saved, a released object is kept until then. Moves to the
   * end of its lease when a janitor takes it, and to the next try after a failure.
   */
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

  /** Of a direct upload: the ticket that it was permitted by. */
  @Column({ type: 'varchar', length: 64, nullable: true })
  ticket!: string | null

  /** Of a direct upload: who was permitted to upload. */
  @Column({ type: 'varchar', length: 255, nullable: true })
  owner!: string | null

  /** Of a direct upload: the size that was announced. A bigint, which some drivers give as text. */
  @Column({ type: 'bigint', nullable: true })
  declaredBytes!: number | string | null

  /** Of a direct upload: how far it is. */
  @Column({ type: 'varchar', length: 20, nullable: true })
  state!: string | null
}
