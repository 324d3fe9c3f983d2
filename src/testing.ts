export { lintStorage, type StorageLintOptions } from './storage/lint-storage.js'
export { type MemoryObject, MemoryStorage, type MemoryStorageOptions } from './storage/memory-storage.js'
