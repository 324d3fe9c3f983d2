import {
  ChildEntity,
  Column,
  DeleteDateColumn,
  Entity,
  ManyToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  type Relation,
  TableInheritance,
} from 'typeorm'
import type { S3File } from '../../src/core/s3-file.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { ColumnsWay, JsonWay, KeyWay, TextWay } from './way-entities.ts'

export { ListWay } from './way-entities.ts'

/** What the tests of triggers go through with each layout. */
abstract class Watched {
  @PrimaryGeneratedColumn() id!: number
  @Column({ type: 'varchar', length: 100, nullable: true, unique: true }) title!: string | null
  @DeleteDateColumn() deletedAt!: Date | null
  abstract file: S3File | null
}

@Entity()
export class WatchedJson extends Watched {
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
export class WatchedJsonb extends Watched {
  @S3FileField({ nullable: true, column: { type: 'jsonb' } }) file!: S3File | null
}

@Entity()
export class WatchedText extends Watched {
  @S3FileField({ nullable: true, column: { type: 'text', name: 'file_text' } }) file!: S3File | null
}

/** A schema of its own, where the database has more than one, and a name too long for a trigger's. */
@Entity({ schema: 's3file_elsewhere', name: 'watched_columns_in_a_table_with_a_name_of_59_letters_so_long' })
export class WatchedColumns extends Watched {
  @S3FileField({ layout: 'columns', nullable: true }) file!: S3File | null
}

@Entity({ name: 'Watched Keys' })
export class WatchedKey extends Watched {
  @S3FileField({ layout: 'key', nullable: true, column: { name: 'file path', length: 200 } })
  file!: S3File | null
}

abstract class WatchedFiles {
  @PrimaryGeneratedColumn() id!: number
  abstract files: S3File[] | null
}

@Entity()
export class WatchedList extends WatchedFiles {
  @S3FileField({ multiple: true, nullable: true }) files!: S3File[] | null
}

@Entity()
export class WatchedJsonbList extends WatchedFiles {
  @S3FileField({ multiple: true, nullable: true, column: { type: 'jsonb' } }) files!: S3File[] | null
}

@Entity()
export class WatchedTextList extends WatchedFiles {
  @S3FileField({ multiple: true, nullable: true, column: { type: 'simple-json' } }) files!: S3File[] | null
}

@Entity()
export class WatchedPair {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, onReplace: 'keep' }) archived!: S3File | null
  @S3FileField({ nullable: true, onRemove: 'keep', layout: 'columns' }) handedOn!: S3File | null
}

@Entity()
export class WatchedKept extends Watched {
  @S3FileField({ nullable: true, onReplace: 'keep', onRemove: 'keep' }) file!: S3File | null
}

@Entity()
@TableInheritance({ column: { type: 'varchar', length: 20, name: 'kind' } })
export class WatchedMedium {
  @PrimaryGeneratedColumn() id!: number
  @Column({ type: 'varchar', length: 100, nullable: true }) title!: string | null
}

@ChildEntity()
export class WatchedPhoto extends WatchedMedium {
  @S3FileField({ layout: 'columns', nullable: true }) photo!: S3File | null
}

@ChildEntity()
export class WatchedSong extends WatchedMedium {
  @S3FileField({ nullable: true }) song!: S3File | null
}

/** A file of its own, and rows below it that go with it. */
@Entity()
export class WatchedShelf {
  @PrimaryColumn({ type: 'varchar', length: 20 }) room!: string
  @PrimaryColumn({ type: 'int' }) number!: number
  @S3FileField({ nullable: true }) plan!: S3File | null
}

@Entity()
export class WatchedBook {
  @PrimaryGeneratedColumn('uuid') id!: string
  @ManyToOne(() => WatchedShelf, { onDelete: 'CASCADE' }) shelf!: Relation<WatchedShelf>
}

@Entity()
export class WatchedPage {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true }) scan!: S3File | null
  @S3FileField({ layout: 'columns', nullable: true }) text!: S3File | null
  @S3FileField({ multiple: true, nullable: true }) notes!: S3File[] | null
  @ManyToOne(() => WatchedBook, { onDelete: 'CASCADE' }) book!: Relation<WatchedBook>
}

/** Refers to itself, and to what refers to itself. */
@Entity()
export class WatchedFolder {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ layout: 'key', nullable: true }) icon!: S3File | null
  @ManyToOne(() => WatchedFolder, { onDelete: 'CASCADE', nullable: true })
  parent!: Relation<WatchedFolder> | null
}

@Entity()
export class WatchedLeaf {
  @PrimaryColumn({ type: 'int' }) id!: number
  @S3FileField({ nullable: true }) file!: S3File | null
  @ManyToOne(() => WatchedFolder, { onDelete: 'CASCADE' }) folder!: Relation<WatchedFolder>
}

/** One for each table; those that others refer to come last. */
export const watched = [
  WatchedJson,
  WatchedText,
  WatchedColumns,
  WatchedKey,
  WatchedList,
  WatchedTextList,
  WatchedPair,
  WatchedKept,
  WatchedPhoto,
  WatchedPage,
  WatchedBook,
  WatchedShelf,
  WatchedLeaf,
  WatchedFolder,
]

/** MySQL has no type of that name. */
export const watchedJsonb = [WatchedJsonb, WatchedJsonbList]

/** A file in each layout. */
export const ways = [JsonWay, TextWay, ColumnsWay, KeyWay] as const

/** A name that could be taken for SQL, as any name could. */
export const archive = "obj.o'ld"

@Entity()
export class ArchivedFile {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ layout: 'key', storage: archive, nullable: true }) file!: S3File | null
}
