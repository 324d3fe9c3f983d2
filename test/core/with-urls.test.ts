import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import type { SignedUrl, UrlOptions } from '../../src/core/file-storage.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { UnreadableS3File } from '../../src/core/unreadable-s3-file.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'

const end = new Date('2026-11-22T09:45:05Z')

class PlainStorage extends MemoryStorage {
  lastOptions: UrlOptions | undefined

  override async url(key: string, options?: UrlOptions): Promise<SignedUrl> {
    this.lastOptions = options
    if (key === 'failing') throw new StorageError('storage-unreachable', 'x')
    return { url: `https://files/${key}`, expiresAt: key === 'public' ? null : end, refreshAt: end }
  }
}

let storage: PlainStorage
beforeEach(() => {
  storage = new PlainStorage()
  configureStorages({ default: storage })
})
afterEach(() => configureStorages({}))

function file(key: string): S3File {
  return new S3File({ key, name: `${key}.pdf`, size: 5, contentType: 'application/pdf' })
}

function shown(key: string) {
  return {
    name: `${key}.pdf`,
    size: 5,
    contentType: 'application/pdf',
    url: `https://files/${key}`,
    urlExpiresAt: '2026-11-22T09:45:05.000Z',
  }
}

class Folder {
  id = 1
  cover: S3File | null = file('cover')
  pages: S3File[] = [file('p1'), file('p2')]
  child: { deep: { file: S3File } } = { deep: { file: file('deep') } }
  lazy: Promise<S3File> = Promise.resolve(file('lazy'))
  get label() {
    return `#${this.id}`
  }
  rename() {
    this.id++
  }
}

describe('withUrls', () => {
  it('asks a toJSON() once, as JSON.stringify does', async () => {
    const price = {
      amount: 1,
      toJSON() {
        return { ...this }
      },
    }
    const itself = {
      x: 1,
      toJSON() {
        return this
      },
    }
    expect(await withUrls({ price, itself })).toEqual({ price: { amount: 1 }, itself: { x: 1 } })
  })

  it('replaces the files of an entity at any depth, in lists and out of them', async () => {
    expect(await withUrls(new Folder())).toEqual({
      id: 1,
      cover: shown('cover'),
      pages: [shown('p1'), shown('p2')],
      child: { deep: { file: shown('deep') } },
    })
  })

  it('replaces the files of a list of entities, and a file by itself', async () => {
    expect(await withUrls([{ a: file('a') }, { a: null }])).toEqual([{ a: shown('a') }, { a: null }])
    expect(await withUrls(file('a'))).toEqual(shown('a'))
  })

  it('gives a plain copy and leaves the entity as it is', async () => {
    const folder = new Folder()
    const copy = await withUrls(folder)
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
    expect(copy).not.toHaveProperty('lazy')
    expect(copy).not.toHaveProperty('rename')
    expect(folder.cover).toBeInstanceOf(S3File)
  })

  it('writes what JSON cannot: dates as ISO 8601, bigint as text', async () => {
    expect(await withUrls({ at: end, big: 2n ** 60n, none: null, no: undefined })).toEqual({
      at: '2026-11-22T09:45:05.000Z',
      big: '1152921504606846976',
      none: null,
    })
  })

  it.each([7, 'text', true, null, undefined])('gives %j back as it is', async (value) => {
    expect(await withUrls(value)).toBe(value)
  })

  it('asks what has a toJSON()', async () => {
    expect(await withUrls({ price: { toJSON: () => '12.50 EUR' } })).toEqual({ price: '12.50 EUR' })
  })

  it('replaces the files in what a toJSON() gives', async () => {
    expect(await withUrls({ page: { toJSON: () => ({ file: file('a'), at: end }) } })).toEqual({
      page: { file: shown('a'), at: '2026-11-22T09:45:05.000Z' },
    })
  })

  it('shows each of two places of one object', async () => {
    const shared = { file: file('a') }
    expect(await withUrls({ first: shared, list: [shared, shared] })).toEqual({
      first: { file: shown('a') },
      list: [{ file: shown('a') }, { file: shown('a') }],
    })
  })

  it('refuses a structure that contains itself', async () => {
    const parent: { children: object[] } = { children: [] }
    parent.children.push({ parent })
    await expect(withUrls(parent)).rejects.toMatchObject({
      code: 'invalid-value',
      message: 'withUrls: the structure contains itself',
    })
  })

  it('leaves out what TypeORM keeps of lazy relations, and __proto__', async () => {
    const copy = await withUrls(
      JSON.parse('{"__kids__": [1], "__has_kids__": true, "__proto__": {"isAdmin": true}, "a": 1}'),
    )
    expect(copy.isAdmin).toBeUndefined()
    expect(Object.keys(copy)).toEqual(['a'])
  })

  it('copies what is in many places once', async () => {
    let node: object = { file: file('a') }
    for (let depth = 0; depth < 30; depth++) node = { left: node, right: node }
    const copy = (await withUrls(node)) as { left: unknown; right: unknown }
    expect(copy.left).toBe(copy.right)
  })

  it('has no end for a URL that does not end', async () => {
    expect(await withUrls(file('public'))).toMatchObject({ url: 'https://files/public', urlExpiresAt: null })
  })

  it('hands its options to each URL, and refuses those it does not know', async () => {
    await withUrls([file('a')], { expiresInSeconds: 60, disposition: 'inline' })
    expect(storage.lastOptions).toMatchObject({ expiresInSeconds: 60, disposition: 'inline' })
    await expect(withUrls([file('a')], { expires: 60 } as UrlOptions)).rejects.toMatchObject({
      code: 'unknown-option',
    })
  })

  it('shows a file that cannot be read without a URL, and the others with theirs', async () => {
    const broken = new UnreadableS3File('x', 'Document.file', 'it is not JSON')
    expect(await withUrls([{ file: broken }, { file: file('a') }])).toEqual([
      {
        file: {
          name: '',
          size: null,
          contentType: null,
          error: 'invalid-record',
          url: null,
          urlExpiresAt: null,
        },
      },
      { file: shown('a') },
    ])
  })

  it('shows a file whose storage is not configured without a URL, and the others with theirs', async () => {
    const stray = new S3File({ key: 'b', name: 'b.pdf', storage: 'archive' })
    expect(await withUrls([{ file: file('a') }, { file: stray }, { file: file('c') }])).toEqual([
      { file: shown('a') },
      {
        file: {
          name: 'b.pdf',
          size: null,
          contentType: null,
          url: null,
          urlExpiresAt: null,
          error: 'unknown-storage',
        },
      },
      { file: shown('c') },
    ])
  })

  it('replaces the files in a Map, by its keys, and in a Set', async () => {
    const byName = new Map<string | number, unknown>([
      ['cover', { file: file('a') }],
      [7, file('b')],
      ['__proto__', { isAdmin: true }],
    ])
    const copy = await withUrls({ byName, all: new Set([file('a'), file('c')]) })
    expect(copy).toEqual({
      byName: { cover: { file: shown('a') }, 7: shown('b') },
      all: [shown('a'), shown('c')],
    })
  })

  it('finds out about a structure that contains itself through a Map or a Set', async () => {
    const set = new Set<unknown>()
    set.add(new Map([['set', set]]))
    await expect(withUrls(set)).rejects.toMatchObject({ code: 'invalid-value' })
  })

  it.each<[string, () => object]>([
    [
      'a structure that contains itself',
      () => {
        const cyclic: { file: S3File; self?: unknown } = { file: file('failing') }
        cyclic.self = cyclic
        return cyclic
      },
    ],
    [
      'a toJSON() that throws',
      () => ({
        file: file('failing'),
        price: {
          toJSON() {
            throw new Error('no price')
          },
        },
      }),
    ],
  ])('leaves no rejection unhandled after %s', async (_name, structure) => {
    const unhandled: unknown[] = []
    const remember = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', remember)
    try {
      await expect(withUrls(structure())).rejects.toThrow()
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', remember)
    }
  })

  it('fails when a URL cannot be made', async () => {
    await expect(withUrls([file('a'), file('failing')])).rejects.toMatchObject({
      code: 'storage-unreachable',
    })
  })
})
