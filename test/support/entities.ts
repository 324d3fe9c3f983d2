import {
  ChildEntity,
  Column,
  Entity,
  EntitySchema,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  type Relation,
  TableInheritance,
} from 'typeorm'
import type { S3File } from '../../src/core/s3-file.ts'
import { S3FileField, s3FileColumn } from '../../src/orm/s3-file-field.ts'

/** One property, three layouts: what the tests of the column go through. */
export abstract class Filed {
  @PrimaryGeneratedColumn('uuid') id!: string
  @Column({ type: 'varchar', length: 100, nullable: true }) title!: string | null
  abstract file: S3File | null
}

@Entity()
export class InJson extends Filed {
  @S3FileField({ keyPrefix: 'json', nullable: true, maxSizeBytes: 1000, accept: ['text/*'] })
  file!: S3File | null
  get downloadUrl() {
    return this.file?.url()
  }
}

@Entity()
export class InText extends Filed {
  @S3FileField({ nullable: true, column: { type: 'text', name: 'file_text' } }) file!: S3File | null
}

@Entity()
export class InColumns extends Filed {
  @S3FileField({ layout: 'columns', nullable: true }) file!: S3File | null
}

@Entity()
export class InKey extends Filed {
  @S3FileField({ layout: 'key', nullable: true, column: { name: 'file_path', length: 200 } })
  file!: S3File | null
}

/** A table as Django makes it: text, never null. */
@Entity()
export class Django {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ layout: 'key', column: { length: 100 } }) upload!: S3File | null
}

@Entity()
export class Unselected extends Filed {
  @S3FileField({ nullable: true, select: false }) file!: S3File | null
}

@Entity()
export class UnselectedColumns extends Filed {
  @S3FileField({ layout: 'columns', nullable: true, select: false }) file!: S3File | null
}

export class Attachment {
  @Column({ type: 'varchar', length: 50, nullable: true }) label!: string | null
  @S3FileField({ nullable: true }) json!: S3File | null
  @S3FileField({ layout: 'columns', nullable: true }) columns!: S3File | null
}

@Entity()
export class Embedding {
  @PrimaryGeneratedColumn() id!: number
  @Column(() => Attachment) attachment!: Attachment
}

@Entity()
@TableInheritance({ column: { type: 'varchar', length: 20, name: 'kind' } })
export class Medium {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true, keyPrefix: 'media' }) file!: S3File | null
}

@ChildEntity()
export class Photo extends Medium {
  @S3FileField({ layout: 'columns', nullable: true }) thumbnail!: S3File | null
}

@Entity()
export class Folder {
  @PrimaryColumn({ type: 'int' }) id!: number
  @OneToMany(
    () => Leaf,
    (leaf) => leaf.folder,
    { cascade: true },
  )
  leaves!: Relation<Leaf>[]
}

@Entity()
export class Leaf {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ layout: 'columns', nullable: true }) file!: S3File | null
  @ManyToOne(
    () => Folder,
    (folder) => folder.leaves,
  )
  folder!: Relation<Folder>
}

export interface Schematic {
  id: number
  file: S3File | null
  path: S3File | null
}

export const SchematicSchema = new EntitySchema<Schematic>({
  name: 'schematic',
  columns: {
    id: { type: 'int', primary: true, generated: true },
    file: s3FileColumn({ nullable: true, keyPrefix: 'schematic' }),
    path: s3FileColumn({ nullable: true, layout: 'key', column: { length: 200 } }),
  },
})

export const entities = [
  InJson,
  InText,
  InColumns,
  InKey,
  Django,
  Unselected,
  UnselectedColumns,
  Embedding,
  Medium,
  Photo,
  Folder,
  Leaf,
  SchematicSchema,
]
