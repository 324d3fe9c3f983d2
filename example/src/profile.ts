import { Entity, PrimaryColumn } from 'typeorm'
import { type S3File, S3FileField } from 'typeorm-s3-file'

/** Who uses the page: one row, with a picture that has narrow limits. */
@Entity('typeorm_s3_file_demo_profile')
export class Profile {
  @PrimaryColumn({ type: 'int' })
  id!: number

  @S3FileField({
    keyPrefix: 'pictures',
    accept: ['image/png', 'image/jpeg', 'image/webp', 'image/gif'],
    maxSizeBytes: 1_000_000,
    nullable: true,
  })
  picture!: S3File | null
}
