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
 * @throws ConfigurationError `invalid-option` for a value that is no storage, or a name that no column takes.
 */
export function configureStorages(configured: Record<string, FileStorage>): void {
  for (const [name, storage] of Object.entries(configured)) {
    if (typeof storage?.put !== 'function' || typeof storage.url !== 'function') {
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

/** The names of all configured storages. */
export function storageNames(): string[] {
  return [...storages.keys()]
}

/**
 * The storage of that name.
 *
 * @throws ConfigurationError `unknown-storage`.
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
