import {
  BeforeInsert,
  BeforeUpdate,
  ChildEntity,
  Column,
  DeleteDateColumn,
  Entity,
  type EntitySubscriberInterface,
  EventSubscriber,
  type InsertEvent,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  type Relation,
  TableInheritance,
  UpdateDateColumn,
  type UpdateEvent,
  VersionColumn,
} from 'typeorm'
import { type S3File, S3FileField } from '../../src/index.ts'

/** A column without a file, whose unique values make statements fail. */
abstract class Titled {
  @Column({ type: 'varchar', length: 40, unique: true }) title!: string
}

abstract class Numbered extends Titled {
  @PrimaryColumn({ type: 'int' }) id!: number
}

@Entity()
class ModelJson extends Numbered {
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
class ModelText extends Numbered {
  @S3FileField({ nullable: true, column: { type: 'text' } }) file!: S3File | null
}

@Entity()
class ModelColumns extends Numbered {
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
}

@Entity()
class ModelKey extends Numbered {
  @S3FileField({ nullable: true, layout: 'key' }) file!: S3File | null
}

@Entity()
class ModelList extends Numbered {
  @S3FileField({ nullable: true, multiple: true }) files!: S3File[] | null
}

@Entity()
class ModelTextList extends Numbered {
  @S3FileField({ nullable: true, multiple: true, column: { type: 'text' } }) files!: S3File[] | null
}

@Entity()
class ModelRequired extends Numbered {
  @S3FileField() file!: S3File
}

/** Two files that may change places. */
@Entity()
class ModelPair extends Numbered {
  @S3FileField({ nullable: true }) left!: S3File | null
  @S3FileField({ nullable: true, layout: 'key' }) right!: S3File | null
}

@Entity()
class ModelHidden extends Numbered {
  @S3FileField({ nullable: true, select: false }) file!: S3File | null
}

@Entity()
class ModelHiddenColumns extends Numbered {
  @S3FileField({ nullable: true, select: false, layout: 'columns' }) file!: S3File | null
}

class Part {
  @S3FileField({ nullable: true }) file!: S3File | null
}

class ColumnsPart {
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
}

@Entity()
class ModelEmbedded extends Numbered {
  @Column(() => Part) part!: Part
}

@Entity()
class ModelEmbeddedColumns extends Numbered {
  @Column(() => ColumnsPart) part!: ColumnsPart
}

@Entity()
@TableInheritance({ column: { type: 'varchar', length: 20, name: 'kind' } })
class ModelMedium extends Numbered {
  @S3FileField({ nullable: true }) cover!: S3File | null
}

@ChildEntity()
class ModelPhoto extends ModelMedium {
  @S3FileField({ nullable: true, layout: 'columns' }) photo!: S3File | null
}

@Entity()
@TableInheritance({ column: { type: 'varchar', length: 20, name: 'kind' } })
class ModelRecording extends Numbered {}

@ChildEntity()
class ModelSong extends ModelRecording {
  @S3FileField({ nullable: true }) song!: S3File | null
}

/** A primary key that is an object, and shows nothing to JSON. */
class Code {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }
  get text(): string {
    return this.#text
  }
}

@Entity()
class ModelCoded extends Titled {
  @PrimaryColumn({
    type: 'varchar',
    length: 20,
    transformer: { to: (code: Code | undefined) => code?.text, from: (text: string) => new Code(text) },
  })
  id!: Code
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
class ModelDated extends Titled {
  @PrimaryColumn({
    type: 'varchar',
    length: 30,
    transformer: {
      to: (date: Date | undefined) => date?.toISOString(),
      from: (text: string) => new Date(text),
    },
  })
  id!: Date
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
class ModelBinary extends Titled {
  @PrimaryColumn({
    type: 'varchar',
    length: 20,
    transformer: {
      to: (bytes: Buffer | undefined) => bytes?.toString('hex'),
      from: (text: string) => Buffer.from(text, 'hex'),
    },
  })
  id!: Buffer
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
class ModelVersioned extends Numbered {
  @S3FileField({ nullable: true }) file!: S3File | null
  @VersionColumn() version!: number
  @UpdateDateColumn() changedAt!: Date
  @DeleteDateColumn() deletedAt!: Date | null
}

/** Its file is set by its own listener, from a property that is no column. */
@Entity()
class ModelListening extends Numbered {
  @S3FileField({ nullable: true }) file!: S3File | null
  pending?: S3File | null

  @BeforeInsert()
  @BeforeUpdate()
  takePending(): void {
    takePending(this)
  }
}

/** Its file is set by a subscriber that comes before the package's. */
@Entity()
class ModelEarly extends Numbered {
  @S3FileField({ nullable: true }) file!: S3File | null
  pending?: S3File | null
}

/** Its file is set by a subscriber that comes after the package's. */
@Entity()
class ModelLate extends Numbered {
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
  pending?: S3File | null
}

/** A parent that saves its children, and whose removal lets the database remove them. */
@Entity()
class ModelAlbum extends Numbered {
  @S3FileField({ nullable: true }) cover!: S3File | null
  @OneToMany(
    () => ModelPicture,
    (picture) => picture.album,
    { cascade: true },
  )
  pictures!: Relation<ModelPicture>[]
}

@Entity()
class ModelPicture extends Numbered {
  @S3FileField({ nullable: true, layout: 'columns' }) file!: S3File | null
  @ManyToOne(
    () => ModelAlbum,
    (album) => album.pictures,
    { nullable: true, onDelete: 'CASCADE', orphanedRowAction: 'delete' },
  )
  album!: Relation<ModelAlbum> | null
}

interface Pending {
  file: S3File | null
  pending?: S3File | null
}

function takePending(entity: Pending): void {
  if (entity.pending === undefined) return
  entity.file = entity.pending
  delete entity.pending
}

function pendingSubscriber(Class: new () => Pending): new () => EntitySubscriberInterface<Pending> {
  class PendingSubscriber implements EntitySubscriberInterface<Pending> {
    listenTo() {
      return Class
    }
    beforeInsert({ entity }: InsertEvent<Pending>): void {
      if (entity !== undefined) takePending(entity)
    }
    beforeUpdate({ entity }: UpdateEvent<Pending>): void {
      if (entity !== undefined) takePending(entity as Pending)
    }
  }
  EventSubscriber()(PendingSubscriber)
  return PendingSubscriber
}

export const EarlySubscriber = pendingSubscriber(ModelEarly)
export const LateSubscriber = pendingSubscriber(ModelLate)

/** A property with a file, or with a list of files. */
export interface Field {
  /** Such as `file`, or `part.file`. */
  path: string
  isList: boolean
  isRequired: boolean
  isHidden: boolean
  isColumns: boolean
}

/** An entity, as programs use it. */
export interface Kind {
  name: string
  target: new () => object
  fields: Field[]
  /** The primary key of its rows, by number. */
  id: (number: number) => unknown
  /** Whether the key is a number or a text, which all of TypeORM's methods take. */
  hasPlainId: boolean
  /** The class with the table, where the entity shares it. */
  parent: (new () => object) | undefined
  isSoft: boolean
  /** Whether a listener or subscriber sets `file` from `pending`. */
  hasPending: boolean
}

function kind(
  name: string,
  target: new () => object,
  fields: string[],
  options: Partial<Omit<Kind, 'name' | 'target' | 'fields'>> & Partial<Omit<Field, 'path'>> = {},
): Kind {
  const { isList = false, isRequired = false, isHidden = false, isColumns = false } = options
  return {
    name,
    target,
    fields: fields.map((path) => ({
      path,
      isList,
      isRequired,
      isHidden,
      isColumns: isColumns || path === 'photo',
    })),
    id: options.id ?? ((number) => number),
    hasPlainId: options.hasPlainId ?? true,
    parent: options.parent,
    isSoft: options.isSoft ?? false,
    hasPending: options.hasPending ?? false,
  }
}

/** The simplest first: a program that fails is made simpler in this direction. */
export const kinds: Kind[] = [
  kind('Json', ModelJson, ['file']),
  kind('Text', ModelText, ['file']),
  kind('Columns', ModelColumns, ['file'], { isColumns: true }),
  kind('Key', ModelKey, ['file']),
  kind('List', ModelList, ['files'], { isList: true }),
  kind('TextList', ModelTextList, ['files'], { isList: true }),
  kind('Required', ModelRequired, ['file'], { isRequired: true }),
  kind('Pair', ModelPair, ['left', 'right']),
  kind('Hidden', ModelHidden, ['file'], { isHidden: true }),
  kind('HiddenColumns', ModelHiddenColumns, ['file'], { isHidden: true, isColumns: true }),
  kind('Embedded', ModelEmbedded, ['part.file']),
  kind('EmbeddedColumns', ModelEmbeddedColumns, ['part.file'], { isColumns: true }),
  kind('Versioned', ModelVersioned, ['file'], { isSoft: true }),
  kind('Photo', ModelPhoto, ['cover', 'photo'], { parent: ModelMedium }),
  kind('Song', ModelSong, ['song'], { parent: ModelRecording }),
  kind('Coded', ModelCoded, ['file'], { id: (number) => new Code(`code-${number}`), hasPlainId: false }),
  kind('Dated', ModelDated, ['file'], { id: (number) => new Date(number), hasPlainId: false }),
  kind('Binary', ModelBinary, ['file'], { id: (number) => Buffer.from([number]), hasPlainId: false }),
  kind('Listening', ModelListening, ['file'], { hasPending: true }),
  kind('Early', ModelEarly, ['file'], { hasPending: true }),
  kind('Late', ModelLate, ['file'], { hasPending: true, isColumns: true }),
  kind('Album', ModelAlbum, ['cover']),
  kind('Picture', ModelPicture, ['file'], { isColumns: true }),
]

export const modelEntities = [...kinds.map(({ target }) => target), ModelMedium, ModelRecording]
