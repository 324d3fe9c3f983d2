import { CreateDateColumn, Entity, PrimaryGeneratedColumn, UpdateDateColumn } from 'typeorm'
import { type S3File, S3FileField } from 'typeorm-s3-file'

// A table name of its own: `synchronize` must not meet somebody's table in a database that was there before.
@Entity('typeorm_s3_file_demo')
export class Document {
  @PrimaryGeneratedColumn('uuid')
  id!: string

  @CreateDateColumn()
  createdAt!: Date

  /** When the file came that is there now. */
  @UpdateDateColumn()
  updatedAt!: Date

  @S3FileField({ keyPrefix: 'documents', maxSizeBytes: 20_000_000_000, nullable: true })
  file!: S3File | null
}
