import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { type S3File, S3FileField } from 'typeorm-s3-file'

/** The entity as it is when all migrations have run. */
@Entity('invoice')
export class Invoice {
  @PrimaryGeneratedColumn()
  id!: number

  @Column({ type: 'varchar', length: 20 })
  number!: string

  @S3FileField({ keyPrefix: 'invoices', nullable: true })
  file!: S3File | null

  @S3FileField({ keyPrefix: 'invoices', multiple: true, nullable: true })
  attachments!: S3File[] | null
}
