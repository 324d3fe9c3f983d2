import { Column, type ColumnOptions, type EntitySchemaColumnOptions } from 'typeorm'
import { ConfigurationError } from '../core/errors.js'
import {
  checkRules,
  type FileField,
  type FileLayout,
  type FileRules,
  fileRuleChecks,
  registerField,
} from '../core/file-field.js'
import { assertRoomForKeys } from '../core/key-strategy.js'
import { maxKeyBytes, normalizePrefix } from '../core/object-key.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'
import type { S3File } from '../core/s3-file.js'
import { adaptColumnMetadata } from './column-metadata.js'
import { defineColumns } from './columns-layout.js'
import { JsonFilesTransformer, JsonFileTransformer, KeyFileTransformer } from './file-transformer.js'

/** What `@S3FileField()` and `s3FileColumn()` take. */
export interface S3FileFieldOptions extends FileRules {
  /**
   * How the row keeps the file: `json`, the record in one column; `columns`, a column for each part, which queries
   * can reach; `key`, one text column with the key alone, for tables that exist already. @default 'json'
   */
  layout?: FileLayout
  /** Whether there may be no file. @default false */
  nullable?: boolean
  /** Whether the property is a list, `S3File[]`, kept in order in one column; `layout: 'json'` only. @default false */
  multiple?: boolean
  /** Whether COMMIT deletes the object of a file that is replaced or cleared. @default 'delete' */
  onReplace?: 'delete' | 'keep'
  /** Whether COMMIT deletes the object of a row that is removed; a soft removal keeps it. @default 'delete' */
  onRemove?: 'delete' | 'keep'
  /**
   * Whether `save()` and the query builders refuse a file that was uploaded elsewhere and does not fit `accept`,
   * `maxSizeBytes`, `minSizeBytes` or `storage`. With `layout: 'key'` the storage is always checked. @default true
   */
  checkOnSave?: boolean
  /** Whether `find()` loads it without being asked. @default true */
  select?: boolean
  /**
   * Options of the column itself, such as `name`, `type: 'jsonb'`, `length`, `comment`. With `layout: 'columns'`, `name`
   * is the prefix and the rest goes to the key's column.
   */
  column?: ColumnOptions
}

const checks: Record<keyof S3FileFieldOptions, OptionCheck> = {
  ...fileRuleChecks,
  layout: option.oneOf('json', 'columns', 'key'),
  nullable: option.boolean,
  multiple: option.boolean,
  onReplace: option.oneOf('delete', 'keep'),
  onRemove: option.oneOf('delete', 'keep'),
  checkOnSave: option.boolean,
  select: option.boolean,
  column: option.object,
}

/** Columns to which TypeORM gives an object; all others take text. */
const objectTypes: unknown[] = ['json', 'jsonb', 'simple-json']

/** What `column` may not say, and who says it. */
const settledColumnOptions: Record<string, string> = {
  nullable: "the field's option 'nullable'",
  select: "the field's option 'select'",
  transformer: 'the layout',
  array: 'the layout',
}

/** A type parameter would take any property; this takes those that there are. */
type KnownOptions<Options> = Options & Record<Exclude<keyof Options, keyof S3FileFieldOptions>, never>

type FileHolder<Property extends string, Value> = { [Name in Property]?: Value | null }

/** What the property of a field with these options holds. */
type FileValue<Options> = Options extends { multiple: true } ? S3File[] : S3File

/**
 * A column that is a file: `@S3FileField({ nullable: true }) file!: S3File | null`; with `multiple: true`, a list of
 * files. Works in classes and what extends them, in embedded classes and in `@ChildEntity`. The property is public.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`, when the class is defined.
 */
export function S3FileField<const Options extends S3FileFieldOptions>(
  options: KnownOptions<Options> = {} as KnownOptions<Options>,
) {
  return <Property extends string>(
    prototype: FileHolder<Property, FileValue<Options>>,
    property: Property,
  ): void => {
    const owner = (prototype as object).constructor
    const label = `${owner.name}.${property}`
    const field = createField(`@S3FileField() ${label}`, label, options)
    registerField(owner, property, field)
    const shared = columnOptionsOf(options)
    if (field.layout === 'columns') defineColumns(owner, property, field, shared)
    else Column(singleColumn(field, shared))(prototype, property)
  }
}

/**
 * The same as options of an EntitySchema's column: `columns: { file: s3FileColumn({ nullable: true }) }`.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`; also for `layout: 'columns'`, which needs a class.
 */
export function s3FileColumn(options: S3FileFieldOptions = {}): EntitySchemaColumnOptions {
  const field = createField('s3FileColumn', 'this file column', options)
  if (field.layout === 'columns') {
    throw new ConfigurationError(
      'invalid-option',
      "s3FileColumn is one column: layout 'columns' takes an entity class with @S3FileField()",
    )
  }
  return singleColumn(field, columnOptionsOf(options)) as EntitySchemaColumnOptions
}

function createField(owner: string, label: string, options: S3FileFieldOptions): FileField {
  checkOptions(owner, options, checks)
  const { layout = 'json', multiple = false, onReplace = 'delete', onRemove = 'delete', ...others } = options
  const { nullable: _, select: __, column: ___, checkOnSave: checksOnSave = true, ...rules } = others
  checkRules(owner, rules)
  if (multiple && layout !== 'json') {
    throw new ConfigurationError(
      'invalid-option',
      `${owner}: option 'multiple' needs layout 'json', not '${layout}'`,
    )
  }
  for (const name of Object.keys(options.column ?? {})) {
    const settledBy = name === 'type' && layout !== 'json' ? 'the layout' : settledColumnOptions[name]
    if (settledBy !== undefined) {
      throw new ConfigurationError(
        'invalid-option',
        `${owner}: option '${name}' of 'column' is settled by ${settledBy}`,
      )
    }
  }
  const field = { label, layout, isMultiple: multiple, onReplace, onRemove, checksOnSave, rules }
  if (layout === 'json') return field
  const maxKeyLength = keyLengthOf(owner, options.column)
  assertRoomForKeys(owner, rules.key ?? 'unique', normalizePrefix(owner, rules.keyPrefix), maxKeyLength)
  return { ...field, maxKeyLength }
}

/** The length of the column of the key, which TypeORM takes as a text, too. */
function keyLengthOf(owner: string, { length = maxKeyBytes }: ColumnOptions = {}): number {
  if (Number.isSafeInteger(Number(length)) && Number(length) > 0) return Number(length)
  throw new ConfigurationError(
    'invalid-option',
    `${owner}: option 'length' of 'column' takes a number of characters, not '${length}'`,
  )
}

function columnOptionsOf({ nullable = false, select, column }: S3FileFieldOptions): ColumnOptions {
  return { nullable, ...(select === undefined ? {} : { select }), ...column }
}

function singleColumn(field: FileField, options: ColumnOptions): ColumnOptions {
  if (field.layout === 'key') {
    adaptColumnMetadata()
    const transformer = new KeyFileTransformer(field, options.nullable === true)
    return { type: 'varchar', length: maxKeyBytes, ...options, transformer }
  }
  const type = options.type ?? 'json'
  const Transformer = field.isMultiple ? JsonFilesTransformer : JsonFileTransformer
  return { ...options, type, transformer: new Transformer(field, !objectTypes.includes(type)) }
}
