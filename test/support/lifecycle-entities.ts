import {
  Column,
  DeleteDateColumn,
  Entity,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  type Relation,
} from 'typeorm'
import type { S3File } from '../../src/core/s3-file.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'

/** A row with a file. */
@Entity()
export class Paper {
  @PrimaryGeneratedColumn('uuid') id!: string
  @Column({ type: 'varchar', length: 100, nullable: true, unique: true }) title!: string | null
  @S3FileField({ nullable: true }) file!: S3File | null
}

/** What happens besides, in the same transaction. */
@Entity()
export class Witness {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, layout: 'key' }) file!: S3File | null
}

/** A parent whose children have the files, and go with it. */
@Entity()
export class Album {
  @PrimaryGeneratedColumn() id!: number
  @OneToMany(
    () => Picture,
    (picture) => picture.album,
    { cascade: true },
  )
  pictures!: Relation<Picture>[]
}

@Entity()
export class Picture {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ layout: 'columns', nullable: true }) file!: S3File | null
  @ManyToOne(
    () => Album,
    (album) => album.pictures,
    { orphanedRowAction: 'delete' },
  )
  album!: Relation<Album>
}

/** A list of files in one column. */
@Entity()
export class Stack {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ multiple: true, nullable: true }) files!: S3File[] | null
}

@Entity()
export class Draft {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, layout: 'key' }) file!: S3File | null
  @DeleteDateColumn() deletedAt!: Date | null
}

@Entity()
export class Keeper {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, onReplace: 'keep' }) replaced!: S3File | null
  @S3FileField({ nullable: true, onRemove: 'keep' }) removed!: S3File | null
}

/** A row with a primary key that JSON does not know. */
@Entity()
export class Numbered {
  @PrimaryColumn({ type: 'bigint', transformer: { to: String, from: BigInt } }) id!: bigint
  @S3FileField({ nullable: true }) file!: S3File | null
}

/** A row with a primary key of two columns, and a column that statements may not change. */
@Entity()
export class Page {
  @PrimaryColumn({ type: 'varchar', length: 20 }) book!: string
  @PrimaryColumn({ type: 'int' }) number!: number
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
  @S3FileField({ nullable: true, column: { update: false } }) original!: S3File | null
}

export const lifecycleEntities = [Paper, Witness, Album, Picture, Stack, Draft, Keeper, Numbered, Page]
