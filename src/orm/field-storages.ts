import type { DataSource } from 'typeorm'
import type { FileStorage } from '../core/file-storage.js'
import { compareKeys, normalizePrefix } from '../core/object-key.js'
import { getStorage } from '../core/storage-registry.js'
import { fileColumnsOf } from './file-columns.js'

/** A storage that file fields write to, or rows refer to. */
export interface FieldStorage {
  storage: FileStorage
  /** All names that it is configured under. */
  names: [string, ...string[]]
  /** Where fields put their objects: in byte order, and none within another. */
  prefixes: string[]
}

/**
 * The storages of all file fields of a DataSource, and those of the names given.
 *
 * @throws ConfigurationError `unknown-storage` for one that is not configured.
 */
export function fieldStorages(dataSource: DataSource, names: Iterable<string>): FieldStorage[] {
  const found = new Map<FileStorage, { names: Set<string>; prefixes: Set<string> }>()
  const add = (name: string, fieldPrefix?: string) => {
    const storage = getStorage(name)
    const known = found.get(storage) ?? { names: new Set(), prefixes: new Set() }
    known.names.add(name)
    if (fieldPrefix !== undefined) known.prefixes.add(storage.keyPrefix + fieldPrefix)
    found.set(storage, known)
  }
  for (const metadata of dataSource.entityMetadatas) {
    if (metadata.tableType === 'view') continue
    for (const { field } of fileColumnsOf(metadata)) {
      add(field.rules.storage ?? 'default', normalizePrefix(field.label, field.rules.keyPrefix))
    }
  }
  for (const name of names) add(name)
  return [...found].map(([storage, known]) => ({
    storage,
    names: [...known.names] as FieldStorage['names'],
    prefixes: outermost(known.prefixes),
  }))
}

/** One that lies within another comes right behind it, or behind others that do. */
function outermost(prefixes: Iterable<string>): string[] {
  const kept: string[] = []
  for (const prefix of [...prefixes].sort(compareKeys)) {
    const last = kept.at(-1)
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix)
  }
  return kept
}
