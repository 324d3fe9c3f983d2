import { CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { FileJournalEntry, type S3File, S3FileField } from 'typeorm-s3-file'

// Table names of their own: `synchronize` must not meet somebody's table in a database that was there before.
@Entity('typeorm_s3_file_demo_journal')
export class Journal extends FileJournalEntry {}

@Entity('typeorm_s3_file_demo')
export class Document {
  @PrimaryGeneratedColumn('uuid')
  id!: string

  @CreateDateColumn()
  createdAt!: Date

  @S3FileField({ keyPrefix: 'documents', maxSizeBytes: 20 * 1024 ** 3, nullable: true })
  file!: S3File | null

  get downloadUrl() {
    return this.file?.url()
  }
}
