import {
  BeforeInsert,
  BeforeUpdate,
  ChildEntity,
  Column,
  Entity,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  TableInheritance,
  VersionColumn,
} from 'typeorm'
import type { S3File } from '../../src/core/s3-file.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'

/** One nullable file and a title, in each way that a row can keep a file. */
export abstract class Way {
  @PrimaryGeneratedColumn() id!: number
  @Column({ type: 'varchar', length: 100, nullable: true, unique: true }) title!: string | null
  abstract file: S3File | null
}

@Entity()
export class JsonWay extends Way {
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
export class TextWay extends Way {
  @S3FileField({ nullable: true, column: { type: 'text' } }) file!: S3File | null
}

@Entity()
export class ColumnsWay extends Way {
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
}

@Entity()
export class KeyWay extends Way {
  @S3FileField({ nullable: true, layout: 'key', column: { length: 200 } }) file!: S3File | null
}

@Entity()
export class VersionedWay extends Way {
  @VersionColumn() version!: number
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
export class UnselectedWay extends Way {
  @S3FileField({ nullable: true, select: false }) file!: S3File | null
}

@Entity()
export class UnselectedColumnsWay extends Way {
  @S3FileField({ nullable: true, layout: 'columns', select: false }) file!: S3File | null
}

@Entity()
@TableInheritance({ column: { type: 'varchar', length: 20, name: 'kind' } })
export class ParentWay {
  @PrimaryGeneratedColumn() id!: number
  @Column({ type: 'varchar', length: 100, nullable: true, unique: true }) title!: string | null
}

@ChildEntity()
export class ChildWay extends ParentWay {
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
}

@Entity()
export class ListWay {
  @PrimaryGeneratedColumn() id!: number
  @Column({ type: 'varchar', length: 100, nullable: true }) title!: string | null
  @S3FileField({ multiple: true, nullable: true }) files!: S3File[] | null
}

/** Its file is set by a listener, while the statement is on its way. */
@Entity()
export class ListeningWay extends Way {
  @S3FileField({ nullable: true }) file!: S3File | null
  next: S3File | null | undefined
  @BeforeInsert()
  @BeforeUpdate()
  async take() {
    await new Promise(setImmediate)
    if (this.next !== undefined) this.file = this.next
  }
}

/** A primary key that is an object, and that JSON makes the same text of for all rows. */
export class Isbn {
  readonly #digits: string
  constructor(digits: string) {
    this.#digits = digits
  }
  get digits() {
    return this.#digits
  }
}

@Entity()
export class BookWay {
  @PrimaryColumn({
    type: 'varchar',
    length: 20,
    transformer: {
      to: (value: unknown) => (value instanceof Isbn ? value.digits : value),
      from: (raw: string) => new Isbn(raw),
    },
  })
  id!: Isbn
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
export class BytesWay {
  @PrimaryColumn({
    type: 'varchar',
    length: 40,
    transformer: {
      to: (value: unknown) => (Buffer.isBuffer(value) ? value.toString('hex') : value),
      from: (raw: string) => Buffer.from(raw, 'hex'),
    },
  })
  id!: Buffer
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
export class DayWay {
  @PrimaryColumn({
    type: 'varchar',
    length: 30,
    transformer: {
      to: (value: unknown) => (value instanceof Date ? value.toISOString() : value),
      from: (raw: string) => new Date(raw),
    },
  })
  id!: Date
  @S3FileField({ nullable: true }) file!: S3File | null
}

export const wayEntities = [
  JsonWay,
  TextWay,
  ColumnsWay,
  KeyWay,
  VersionedWay,
  UnselectedWay,
  UnselectedColumnsWay,
  ParentWay,
  ChildWay,
  ListWay,
  ListeningWay,
  BookWay,
  BytesWay,
  DayWay,
]
