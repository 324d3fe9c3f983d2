import { ConfigurationError } from './errors.js'
import type { FileInspector } from './file-inspector.js'
import { checkAccept } from './file-policy.js'
import type { ObjectParamsOption } from './file-storage.js'
import type { KeyStrategy } from './key-strategy.js'
import { normalizePrefix } from './object-key.js'
import { checkObjectParams } from './object-params.js'
import { type OptionCheck, option } from './options.js'
import type { S3File } from './s3-file.js'
import { sharedState } from './shared-state.js'

/** How a field's files are named, kept and let in. */
export interface FileRules {
  /** The storage's name. @default 'default' */
  storage?: string
  /** Put before each key, after the storage's own prefix. @default '' */
  keyPrefix?: string
  /** How keys are made below the prefix. @default 'unique' */
  key?: KeyStrategy
  /** The largest file in bytes, inclusive. @default none */
  maxSizeBytes?: number
  /** The smallest file in bytes, inclusive; 1 refuses empty files. @default 0 */
  minSizeBytes?: number
  /**
   * Types and extensions, as in HTML's `accept`: `image/*`, `application/pdf`, `.csv`; compared with what the first bytes
   * are. @default everything
   */
  accept?: readonly string[]
  /** Looks at the bytes as they pass and may refuse the file before it is stored. @default none */
  inspect?: FileInspector | readonly FileInspector[]
  /** What the store keeps with the object; laid over the storage's own. */
  objectParams?: ObjectParamsOption
}

export const fileRuleChecks: Record<keyof FileRules, OptionCheck> = {
  storage: option.string,
  keyPrefix: option.text,
  key: option.oneOfOrFunction('unique', 'timestamped'),
  maxSizeBytes: option.integer(0),
  minSizeBytes: option.integer(0),
  accept: option.strings,
  inspect: option.functions,
  objectParams: option.objectOrFunction,
}

/** How a row keeps a file: the record in one column, a column for each part, or the key alone. */
export type FileLayout = 'json' | 'columns' | 'key'

/** A file field as the upload verbs and the column know it. */
export interface FileField {
  /** `Entity.property`, as far as it is known. */
  label: string
  layout: FileLayout
  /** Whether the property is a list of files. */
  isMultiple: boolean
  /** What becomes of the object when another file takes its place, or none. */
  onReplace: 'delete' | 'keep'
  /** What becomes of the object when the row is removed. */
  onRemove: 'delete' | 'keep'
  /** Whether a row takes only files that fit the rules, wherever they were uploaded. */
  checksOnSave: boolean
  /** The most characters of a key that the row's column takes; undefined for one that takes any. */
  maxKeyLength?: number
  rules: FileRules
}

/**
 * Checks what the option checks cannot: prefixes, types, object parameters.
 *
 * @throws ConfigurationError `invalid-option`, `unknown-option`.
 */
export function checkRules(owner: string, rules: FileRules): void {
  normalizePrefix(owner, rules.keyPrefix)
  checkAccept(owner, rules.accept)
  if (typeof rules.objectParams === 'object') {
    checkObjectParams(`${owner} objectParams`, rules.objectParams)
  }
  if (rules.maxSizeBytes !== undefined && (rules.minSizeBytes ?? 0) > rules.maxSizeBytes) {
    throw new ConfigurationError('invalid-option', `${owner}: 'minSizeBytes' is larger than 'maxSizeBytes'`)
  }
}

/** The properties of an entity that can hold a file; of an EntitySchema, whose types do not say, any. */
export type FileProperty<Entity> = {
  [Property in keyof Entity]-?: unknown extends Entity[Property]
    ? Property
    : [NonNullable<Entity[Property]>] extends [never]
      ? never
      : NonNullable<Entity[Property]> extends S3File | readonly S3File[]
        ? Property
        : never
}[keyof Entity] &
  string

/** A class, or an EntitySchema (anything that keeps its columns' options the same way). */
export type FieldOwner<Entity> =
  | (abstract new (
      ...args: never[]
    ) => Entity)
  | { options: { columns: { [Property in keyof Entity]?: unknown } } }

/** Where column options of an EntitySchema carry their field. */
export const fieldOfTransformer = Symbol.for('typeorm-s3-file.field')

const fieldsByClass = sharedState('fields', () => new WeakMap<object, Map<string, FileField>>())

export function registerField(owner: object, property: string, field: FileField): void {
  const fields = fieldsByClass.get(owner) ?? new Map<string, FileField>()
  fields.set(property, field)
  fieldsByClass.set(owner, fields)
}

/**
 * The field of that property, looked for in the class and those it extends.
 *
 * @throws ConfigurationError `unknown-field`.
 */
export function findField(owner: FieldOwner<never>, property: string): FileField {
  const field = typeof owner === 'function' ? fieldOfClass(owner, property) : fieldOfSchema(owner, property)
  if (field === undefined) {
    const name = typeof owner === 'function' ? owner.name : 'the schema'
    throw new ConfigurationError(
      'unknown-field',
      `${name} has no file field '${property}'; is it an @S3FileField()?`,
    )
  }
  return field
}

function fieldOfClass(owner: object, property: string): FileField | undefined {
  for (let current: object | null = owner; current !== null; current = Object.getPrototypeOf(current)) {
    const field = fieldsByClass.get(current)?.get(property)
    if (field !== undefined) return field
  }
  return undefined
}

function fieldOfSchema(owner: unknown, property: string): FileField | undefined {
  const columns = (owner as { options?: { columns?: Record<string, { transformer?: unknown }> } })?.options
    ?.columns
  const transformer = columns?.[property]?.transformer as { [fieldOfTransformer]?: FileField } | undefined
  return transformer?.[fieldOfTransformer]
}
