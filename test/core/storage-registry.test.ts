import { afterEach, describe, expect, it, vi } from 'vitest'
import { configureStorages, getStorage } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'

afterEach(() => configureStorages({}))

describe('the storages', () => {
  it('are found by their names, and the default one without', () => {
    const [main, archive] = [new MemoryStorage(), new MemoryStorage()]
    configureStorages({ default: main, archive })
    expect(getStorage()).toBe(main)
    expect(getStorage('default')).toBe(main)
    expect(getStorage('archive')).toBe(archive)
  })

  it('replace all that were configured before', () => {
    configureStorages({ default: new MemoryStorage(), archive: new MemoryStorage() })
    configureStorages({ default: new MemoryStorage() })
    expect(() => getStorage('archive')).toThrow("there is no storage 'archive' (configured: default)")
  })

  it('are not configured without being asked, and the message shows how it is done', () => {
    expect(() => getStorage()).toThrow(
      expect.objectContaining({
        code: 'unknown-storage',
        message:
          "there is no storage 'default' (none is configured); name it in configureStorages({ default: … })",
        context: { storage: 'default' },
      }),
    )
  })

  it.each(['constructor', '__proto__', 'toString'])('do not have one named %s by accident', (name) => {
    expect(() => getStorage(name)).toThrow(expect.objectContaining({ code: 'unknown-storage' }))
  })

  it.each([undefined, null, {}, 'memory', MemoryStorage, { put: () => undefined }])(
    'cannot be %s, and a refused set leaves the earlier one in place',
    (value) => {
      const main = new MemoryStorage()
      configureStorages({ default: main })
      expect(() => configureStorages({ other: new MemoryStorage(), broken: value as never })).toThrow(
        expect.objectContaining({
          code: 'invalid-option',
          message: "configureStorages: 'broken' is not a FileStorage",
        }),
      )
      expect(getStorage()).toBe(main)
      expect(() => getStorage('other')).toThrow()
    },
  )

  it.each([new MemoryStorage(), undefined, null, 'memory'])(
    'are given by their names: %o is refused with the call to write',
    (value) => {
      expect(() => configureStorages(value as never)).toThrow(
        expect.objectContaining({
          code: 'invalid-option',
          message: 'configureStorages takes storages by their names: configureStorages({ default: storage })',
        }),
      )
    },
  )

  it.each(['', 'x'.repeat(101)])('have names that a column takes, unlike %j', (name) => {
    expect(() => configureStorages({ [name]: new MemoryStorage() })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringContaining('1 to 100 characters'),
      }),
    )
    configureStorages({ ['x'.repeat(100)]: new MemoryStorage() })
  })

  it('are the same for every copy of the package in a process', async () => {
    vi.resetModules()
    const copy = await import('../../src/core/storage-registry.ts')
    const storage = new MemoryStorage()
    copy.configureStorages({ default: storage })
    expect(getStorage()).toBe(storage)
  })
})
