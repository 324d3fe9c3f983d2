import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import type { ListedObject, OpenOptions, PutOptions } from '../../src/core/file-storage.ts'
import { lintStorage, type StorageLintOptions } from '../../src/storage/lint-storage.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'

/** The rules that a storage breaks, without what was found instead. */
async function brokenRules(storage: MemoryStorage, options?: StorageLintOptions): Promise<string[]> {
  try {
    await lintStorage(storage, options)
    return []
  } catch (error) {
    return (error as AggregateError).errors.map(({ message }: Error) => message.split(':')[0] as string)
  }
}

class Overwriting extends MemoryStorage {
  override async put(key: string, body: Readable, options?: PutOptions) {
    this.objects.delete(key)
    return super.put(key, body, options)
  }
}

class Deaf extends MemoryStorage {
  override put(key: string, body: Readable, { signal: _, ...options }: PutOptions = {}) {
    return super.put(key, body, options)
  }
}

class KeepingHalves extends MemoryStorage {
  override async put(key: string, body: Readable, options?: PutOptions) {
    try {
      return await super.put(key, body, options)
    } catch (error) {
      if ((error as Error).message === 'the source failed') {
        await super.put(key, Readable.from([Buffer.from('half')]))
      }
      throw error
    }
  }
}

class WrappingErrors extends MemoryStorage {
  override async put(key: string, body: Readable, options?: PutOptions) {
    try {
      return await super.put(key, body, options)
    } catch (cause) {
      throw body.errored === cause ? new Error('upload failed', { cause }) : cause
    }
  }
}

class MiscountingSize extends MemoryStorage {
  override async put(key: string, body: Readable, options?: PutOptions) {
    const stored = await super.put(key, body, options)
    return { ...stored, size: stored.size === 5 ? 6 : stored.size }
  }
}

class Unconfirming extends MemoryStorage {
  override put(key: string, body: Readable, { onStored: _, ...options }: PutOptions = {}) {
    return super.put(key, body, options)
  }
}

class LosingTheType extends MemoryStorage {
  override async copy(from: string, to: string) {
    await super.copy(from, to)
    const copy = this.objects.get(to)
    if (copy !== undefined) copy.contentType = null
  }
}

class ExclusiveEnd extends MemoryStorage {
  override open(key: string, { end, ...options }: OpenOptions = {}) {
    return super.open(key, end === undefined ? options : { ...options, end: end - 1 })
  }
}

class RefusingEmptyRanges extends MemoryStorage {
  override async open(key: string, options: OpenOptions = {}) {
    const size = this.objects.get(key)?.size ?? 0
    if (options.start !== undefined && options.start >= size && this.objects.has(key)) {
      throw new StorageError('storage-refused', 'InvalidRange (416)')
    }
    return super.open(key, options)
  }
}

class EmptyForAbsent extends MemoryStorage {
  override async open(key: string, options?: OpenOptions) {
    return this.objects.has(key) ? super.open(key, options) : Readable.from([])
  }
}

class StrictDelete extends MemoryStorage {
  override async delete(key: string) {
    if (!this.objects.delete(key)) throw new Error('no such object')
  }
}

class DeletingAThousand extends MemoryStorage {
  override deleteMany(keys: Iterable<string>) {
    return super.deleteMany([...keys].slice(0, 1000))
  }
}

class SortingAsPeopleDo extends MemoryStorage {
  override async *list(options?: { prefix?: string; after?: string }): AsyncIterable<ListedObject> {
    const listed: ListedObject[] = []
    for await (const object of super.list(options)) listed.push(object)
    yield* listed.sort((left, right) => left.key.localeCompare(right.key, 'en'))
  }
}

class Unlistable extends MemoryStorage {
  // biome-ignore lint/correctness/useYield: it fails before its first object
  override async *list(): AsyncIterable<never> {
    throw new Error('no list')
  }
}

class StartingAtAfter extends MemoryStorage {
  override async *list({ prefix, after }: { prefix?: string; after?: string } = {}) {
    for await (const object of super.list(prefix === undefined ? {} : { prefix })) {
      if (after === undefined || object.key >= after) yield object
    }
  }
}

class DecodingKeys extends MemoryStorage {
  override put(key: string, body: Readable, options?: PutOptions) {
    return super.put(decodeURIComponent(key), body, options)
  }
}

class LivingLonger extends MemoryStorage {
  override url(key: string) {
    return super.url(key, { expiresInSeconds: 3600 })
  }
}

describe('lintStorage', () => {
  it('finds nothing wrong with MemoryStorage, and leaves nothing in it', async () => {
    const storage = new MemoryStorage({ keyPrefix: 'uploads' })
    await lintStorage(storage)
    expect(storage.objects.size).toBe(0)
  })

  it('leaves what was there before', async () => {
    const storage = new MemoryStorage()
    await storage.put('mine', Readable.from([Buffer.from('x')]))
    await lintStorage(storage)
    expect([...storage.objects.keys()]).toEqual(['mine'])
  })

  it.each([
    { Broken: Overwriting, rules: ['put never overwrites an object'] },
    { Broken: KeepingHalves, rules: ['put stores nothing when its body fails'] },
    {
      Broken: WrappingErrors,
      rules: ['put stores nothing when its body fails', 'put stores nothing when it is aborted'],
    },
    { Broken: Deaf, rules: ['put stores nothing when it is aborted'] },
    { Broken: MiscountingSize, rules: ['put stores bytes and stat describes them'] },
    { Broken: Unconfirming, rules: ['put stores a large file from chunks of odd sizes'] },
    { Broken: LosingTheType, rules: ['copy copies the bytes and the type'] },
    { Broken: ExclusiveEnd, rules: ['open reads a range, both ends included'] },
    {
      Broken: RefusingEmptyRanges,
      rules: ['open gives an empty stream for a range in which the object has no byte'],
    },
    { Broken: EmptyForAbsent, rules: ['open and stat tell that an object is not there'] },
    { Broken: StrictDelete, rules: ['delete deletes, and is content with an object that is not there'] },
    { Broken: DeletingAThousand, rules: ['deleteMany deletes more than a thousand, absent ones among them'] },
    {
      Broken: SortingAsPeopleDo,
      rules: ['list gives keys in the order of their bytes, below a prefix and after a key'],
    },
    {
      Broken: StartingAtAfter,
      rules: ['list gives keys in the order of their bytes, below a prefix and after a key'],
    },
    {
      Broken: Unlistable,
      rules: [
        'list gives keys in the order of their bytes, below a prefix and after a key',
        'keys with spaces, quotes, percent signs and Unicode work',
        'list and deleteMany clean up',
      ],
    },
    { Broken: DecodingKeys, rules: ['keys with spaces, quotes, percent signs and Unicode work'] },
    { Broken: LivingLonger, rules: ['url gives an address that ends'] },
  ])('names the rules that a storage breaks: $Broken.name', async ({ Broken, rules }) => {
    expect(await brokenRules(new Broken())).toEqual(rules)
  })

  it('compares what a URL serves where it can be fetched', async () => {
    expect(await brokenRules(new MemoryStorage(), { fetch: async () => Buffer.from('by url') })).toEqual([])
    expect(await brokenRules(new MemoryStorage(), { fetch: async () => Buffer.from('<Error>') })).toEqual([
      'url gives an address that ends',
    ])
  })

  it('lists all broken rules in one message', async () => {
    class Broken extends LosingTheType {
      override open = EmptyForAbsent.prototype.open
    }
    await expect(lintStorage(new Broken())).rejects.toThrow(
      /^the storage breaks its contract:\n- open and stat tell .+\n- copy copies .+/,
    )
  })

  it.each([{ largeFileBytes: 0 }, { fetch: true }, { largeFile: 1 }])(
    'refuses the options %j',
    async (options) => {
      await expect(lintStorage(new MemoryStorage(), options as never)).rejects.toMatchObject({
        name: 'ConfigurationError',
      })
    },
  )
})
