import { contentDisposition } from '../core/content-disposition.js'
import { ConfigurationError } from '../core/errors.js'
import {
  checkRules,
  type FieldOwner,
  type FileField,
  type FileProperty,
  type FileRules,
  fileRuleChecks,
  findField,
} from '../core/file-field.js'
import type { FileInspector } from '../core/file-inspector.js'
import type { FilePolicy } from '../core/file-policy.js'
import type {
  FileStorage,
  ObjectParams,
  ObjectParamsContext,
  ObjectParamsOption,
} from '../core/file-storage.js'
import { dispositionOf, mayBeInline } from '../core/inline-types.js'
import { assertRoomForKeys, type KeyStrategy } from '../core/key-strategy.js'
import { normalizePrefix } from '../core/object-key.js'
import { checkObjectParams } from '../core/object-params.js'
import { type OptionCheck, option } from '../core/options.js'
import { getStorage } from '../core/storage-registry.js'
import { findLedger, type UploadLedger } from '../core/upload-ledger.js'

/** An entity and its file property. */
export type Into<Entity> = readonly [FieldOwner<Entity>, FileProperty<Entity>]

/** Where a file goes: a field of an entity, or rules given on the spot. */
export interface TargetOptions<Entity> extends FileRules {
  /**
   * The entity and its file property, whose storage, prefix, key, limits, types and inspectors then hold. `maxSizeBytes`,
   * `minSizeBytes`, `accept` and `inspect` given besides make them narrower, never wider.
   */
  into?: Into<Entity>
  /**
   * The journal that names the object until a row does: `fileJournal(dataSource)`. @default that of the one database
   * whose DataSources have `FileJournalEntry` and the entity of `into`
   */
  journal?: UploadLedger
}

export const targetChecks: Record<keyof TargetOptions<unknown>, OptionCheck> = {
  into: option.object,
  journal: option.object,
  ...fileRuleChecks,
}

/** All that is settled about a file before it comes. */
export interface UploadTarget {
  storage: FileStorage
  storageName: string
  ledger: UploadLedger | undefined
  keyPrefix: string
  /** The most characters of a key, prefix and all; undefined for what S3 takes. */
  maxKeyLength: number | undefined
  key: KeyStrategy
  policies: FilePolicy[]
  inspectors: FileInspector[]
  paramsOf: (file: ObjectParamsContext) => Promise<ObjectParams>
}

const narrowing = ['maxSizeBytes', 'minSizeBytes', 'accept', 'inspect']

/**
 * @throws ConfigurationError `invalid-option`, `unknown-field`, `unknown-storage`.
 */
export function resolveTarget<Entity>(owner: string, options: TargetOptions<Entity>): UploadTarget {
  checkRules(owner, options)
  const field = options.into === undefined ? undefined : fieldOf(owner, options, options.into)
  const rules = field?.rules ?? options
  const storageName = rules.storage ?? 'default'
  const storage = getStorage(storageName)
  const given = rules === options ? [options] : [rules, options]
  const { key = 'unique' } = rules
  const keyPrefix = storage.keyPrefix + normalizePrefix(owner, rules.keyPrefix)
  if (field !== undefined)
    assertRoomForKeys(`${owner} into ${field.label}`, key, keyPrefix, field.maxKeyLength)
  return {
    storage,
    storageName,
    ledger: options.journal ?? findLedger(owner, field),
    keyPrefix,
    maxKeyLength: field?.maxKeyLength,
    key,
    policies: given.map((each) => ({
      maxSizeBytes: each.maxSizeBytes,
      minSizeBytes: each.minSizeBytes ?? 0,
      accept: each.accept,
    })),
    inspectors: given.flatMap(({ inspect = [] }) => inspect),
    paramsOf: async (file) => {
      const params = {
        // Stored with the object too, so that it holds where a URL cannot say it: a public bucket, a CDN.
        ContentDisposition: contentDisposition(
          dispositionOf(file.contentType, storage.inlineTypes),
          file.name,
        ),
        ...(await paramsOf(`objectParams of storage '${storageName}'`, storage.objectParams, file)),
        ...(await paramsOf(`objectParams of ${field?.label ?? owner}`, rules.objectParams, file)),
      }
      if (mayBeInline(file.contentType) || /^\s*attachment\b/i.test(params.ContentDisposition)) return params
      return { ...params, ContentDisposition: contentDisposition('attachment', file.name) }
    },
  }
}

function fieldOf<Entity>(
  owner: string,
  options: TargetOptions<Entity>,
  into: readonly [FieldOwner<Entity>, string],
): FileField {
  if (!Array.isArray(into) || into.length !== 2) {
    throw new ConfigurationError('invalid-option', `${owner}: option 'into' takes [Entity, 'property']`)
  }
  for (const name of Object.keys(fileRuleChecks)) {
    if (!narrowing.includes(name) && options[name as keyof FileRules] !== undefined) {
      throw new ConfigurationError(
        'invalid-option',
        `${owner}: option '${name}' comes from the field given as 'into'`,
      )
    }
  }
  return findField(into[0] as FieldOwner<never>, into[1])
}

/** Of a storage of somebody else's, objects are as little checked as what a function gives. */
async function paramsOf(
  owner: string,
  option: ObjectParamsOption = {},
  file: ObjectParamsContext,
): Promise<ObjectParams> {
  const params = typeof option === 'function' ? await option(file) : option
  checkObjectParams(owner, params)
  return params
}
