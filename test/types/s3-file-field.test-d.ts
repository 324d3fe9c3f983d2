import { EntitySchema } from 'typeorm'
import type { S3File } from '../../src/index.ts'
import { S3FileField, s3FileColumn } from '../../src/index.ts'

export class Accepted {
  @S3FileField()
  required!: S3File

  @S3FileField({ nullable: true })
  nullable!: S3File | null

  @S3FileField({ nullable: true })
  optional?: S3File

  @S3FileField({ nullable: true })
  optionalOrNull?: S3File | null

  @S3FileField()
  readonly fixed!: S3File

  @S3FileField({ keyPrefix: 'documents', key: ({ name, extension }) => `${name}.${extension}` })
  named!: S3File

  @S3FileField({ multiple: true })
  list!: S3File[]

  @S3FileField({ multiple: true, nullable: true })
  listOrNull!: S3File[] | null
}

export class Refused {
  // @ts-expect-error A text is no file.
  @S3FileField()
  text!: string

  // @ts-expect-error A lazy relation's Promise is no file.
  @S3FileField()
  lazy!: Promise<S3File>

  // @ts-expect-error A list says so: `multiple: true`.
  @S3FileField()
  list!: S3File[]

  // @ts-expect-error With `multiple: true` it is a list.
  @S3FileField({ multiple: true })
  single!: S3File

  // @ts-expect-error Something may be in it that is no file.
  @S3FileField()
  either!: S3File | string

  // @ts-expect-error A method is no column.
  @S3FileField()
  method(): void {}

  // @ts-expect-error 'prefix' is not an option.
  @S3FileField({ prefix: 'documents' })
  unknownOption!: S3File

  // @ts-expect-error Nor is 'maxSizeByte', beside one that is.
  @S3FileField({ nullable: true, maxSizeByte: 1 })
  misspelt!: S3File | null

  // @ts-expect-error 'random' is not a key strategy.
  @S3FileField({ key: 'random' })
  unknownKey!: S3File

  // @ts-expect-error A key is a text.
  @S3FileField({ key: () => 7 })
  wrongKey!: S3File
}

// @ts-expect-error A class is not a property.
@S3FileField()
export class NotAClass {}

export const schema = new EntitySchema<{ id: number; file: S3File | null }>({
  name: 'document',
  columns: {
    id: { type: Number, primary: true },
    file: s3FileColumn({ nullable: true, layout: 'key' }),
  },
})
