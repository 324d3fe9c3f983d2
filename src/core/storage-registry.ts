import { ConfigurationError } from './errors.js'
import type { FileStorage } from './file-storage.js'
import { isLongerThan } from './object-key.js'
import { sharedState } from './shared-state.js'

/** The column that keeps it with `layout: 'columns'` is as long. */
const maxNameLength = 100

const storages = sharedState('storages', () => new Map<string, FileStorage>())

/**
 * Names the application's storages, as Django's `STORAGES` does. Replaces all that was configured before.
 *
 * @param configured the storages by their names of 1 to 100 characters; fields without a `storage` use `default`.
 * @throws ConfigurationError `invalid-option` for a value that is no storage, or a name that no column takes.
 */
export function configureStorages(configured: Record<string, FileStorage>): void {
  if (typeof configured !== 'object' || configured === null || isStorage(configured)) {
    throw new ConfigurationError(
      'invalid-option',
      'configureStorages takes storages by their names: configureStorages({ default: storage })',
    )
  }
  for (const [name, storage] of Object.entries(configured)) {
    if (!isStorage(storage)) {
      throw new ConfigurationError('invalid-option', `configureStorages: '${name}' is not a FileStorage`)
    }
    if (name === '' || isLongerThan(name, maxNameLength)) {
      throw new ConfigurationError(
        'invalid-option',
        `configureStorages: a storage's name has 1 to ${maxNameLength} characters, unlike '${name}'`,
      )
    }
  }
  storages.clear()
  for (const [name, storage] of Object.entries(configured)) storages.set(name, storage)
}

function isStorage(value: unknown): value is FileStorage {
  const { put, url } = (value ?? {}) as Partial<FileStorage>
  return typeof put === 'function' && typeof url === 'function'
}

/** The names of all configured storages. */
export function storageNames(): string[] {
  return [...storages.keys()]
}

/**
 * Returns the storage of that name.
 *
 * @throws ConfigurationError `unknown-storage` naming those that are configured.
 */
export function getStorage(name = 'default'): FileStorage {
  const storage = storages.get(name)
  if (storage === undefined) {
    const known = storages.size === 0 ? 'none is configured' : `configured: ${storageNames().join(', ')}`
    throw new ConfigurationError(
      'unknown-storage',
      `there is no storage '${name}' (${known}); name it in configureStorages({ ${name}: … })`,
      { context: { storage: name } },
    )
  }
  return storage
}
