import { strict as assert } from 'node:assert'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { isS3FileError } from '../core/errors.js'
import type { FileStorage } from '../core/file-storage.js'
import { checkOptions, option } from '../core/options.js'

/** The options of `lintStorage()`. */
export interface StorageLintOptions {
  /** Size of the largest file it stores in bytes, 1 or more; take one that needs several parts. @default 1_000_000 */
  largeFileBytes?: number
  /** Fetches what `url()` gives and compares the bytes, where the URLs can be fetched. */
  fetch?: (url: string) => Promise<Uint8Array>
}

export const lintDefaults = { largeFileBytes: 1_000_000 }

interface Bench {
  storage: FileStorage
  options: StorageLintOptions
  /** A key of this run. */
  key: (name: string) => string
}

const rules: Record<string, (bench: Bench) => Promise<void>> = {
  'put stores bytes and stat describes them': async ({ storage, key }) => {
    const stored = await storage.put(key('small'), bytesOf(Buffer.from('hello')), {
      contentType: 'text/plain',
    })
    assert.equal(stored.size, 5)
    const stat = await storage.stat(key('small'))
    assert.equal(stat?.size, 5)
    assert.equal(stat?.contentType, 'text/plain')
    assert.equal((await read(storage, key('small'))).toString(), 'hello')
  },
  'put stores an empty file': async ({ storage, key }) => {
    assert.equal((await storage.put(key('empty'), bytesOf(Buffer.alloc(0)))).size, 0)
    assert.equal((await storage.stat(key('empty')))?.size, 0)
    assert.equal((await read(storage, key('empty'))).length, 0)
  },
  'put stores a large file from chunks of odd sizes': async ({ storage, key, options }) => {
    const bytes = randomBytes(options.largeFileBytes ?? lintDefaults.largeFileBytes)
    let confirmed = 0
    const stored = await storage.put(key('large'), oddChunks(bytes), {
      onStored: (count) => (confirmed = count),
    })
    assert.equal(stored.size, bytes.length)
    assert.equal(confirmed, bytes.length, 'onStored must reach the size')
    assert.ok((await read(storage, key('large'))).equals(bytes), 'the bytes must come back as they were')
  },
  'put never overwrites an object': async ({ storage, key }) => {
    await storage.put(key('taken'), bytesOf(Buffer.from('first')))
    await rejects(() => storage.put(key('taken'), bytesOf(Buffer.from('second'))), 'key-taken')
    assert.equal((await read(storage, key('taken'))).toString(), 'first')
  },
  'put stores nothing when its body fails': async ({ storage, key, options }) => {
    const failure = new Error('the source failed')
    const body = oddChunks(randomBytes(options.largeFileBytes ?? lintDefaults.largeFileBytes), failure)
    await assert.rejects(
      storage.put(key('failing'), body),
      (error) => error === failure,
      'put must reject with the error of its body',
    )
    assert.equal(await storage.stat(key('failing')), null)
  },
  'put stores nothing when it is aborted': async ({ storage, key }) => {
    const abort = new AbortController()
    const reason = new Error('aborted by lintStorage')
    const body = new Readable({ read() {} })
    body.on('error', () => undefined)
    body.push(Buffer.from('some bytes'))
    const put = storage.put(key('aborted'), body, { signal: abort.signal })
    setImmediate(() => {
      abort.abort(reason)
      // Whoever does not listen to the signal then stores the file, rather than wait for ever.
      setImmediate(() => body.push(null))
    })
    await assert.rejects(put, (error) => error === reason, "put must reject with the signal's reason")
    assert.equal(await storage.stat(key('aborted')), null)
    body.destroy()
  },
  'open reads a range, both ends included': async ({ storage, key }) => {
    await storage.put(key('range'), bytesOf(Buffer.from('0123456789')))
    assert.equal((await read(storage, key('range'), { start: 2, end: 4 })).toString(), '234')
    assert.equal((await read(storage, key('range'), { start: 7 })).toString(), '789')
  },
  'open gives an empty stream for a range in which the object has no byte': async ({ storage, key }) => {
    await storage.put(key('no-bytes'), bytesOf(Buffer.alloc(0)))
    assert.equal((await read(storage, key('no-bytes'), { start: 0, end: 1023 })).length, 0)
    await storage.put(key('few-bytes'), bytesOf(Buffer.from('0123456789')))
    assert.equal((await read(storage, key('few-bytes'), { start: 10 })).length, 0)
    assert.equal((await read(storage, key('few-bytes'), { start: 8, end: 1023 })).toString(), '89')
  },
  'open and stat tell that an object is not there': async ({ storage, key }) => {
    await rejects(() => storage.open(key('absent')), 'object-not-found')
    await rejects(() => storage.open(key('absent'), { start: 0, end: 1023 }), 'object-not-found')
    assert.equal(await storage.stat(key('absent')), null)
  },
  'delete deletes, and is content with an object that is not there': async ({ storage, key }) => {
    await storage.put(key('deleted'), bytesOf(Buffer.from('x')))
    await storage.delete(key('deleted'))
    assert.equal(await storage.stat(key('deleted')), null)
    await storage.delete(key('deleted'))
  },
  'deleteMany deletes more than a thousand, absent ones among them': async ({ storage, key }) => {
    await storage.put(key('many/first'), bytesOf(Buffer.from('x')))
    await storage.put(key('many/last'), bytesOf(Buffer.from('x')))
    const absent = Array.from({ length: 1100 }, (_, index) => key(`many/absent-${index}`))
    assert.deepEqual(await storage.deleteMany([key('many/first'), ...absent, key('many/last')]), [])
    assert.equal(await storage.stat(key('many/first')), null)
    assert.equal(await storage.stat(key('many/last')), null)
    assert.deepEqual(await storage.deleteMany([]), [])
  },
  'copy copies the bytes and the type': async ({ storage, key }) => {
    await storage.put(key('original'), bytesOf(Buffer.from('copied')), { contentType: 'text/plain' })
    await storage.copy(key('original'), key('copy'))
    assert.equal((await read(storage, key('copy'))).toString(), 'copied')
    assert.equal((await storage.stat(key('copy')))?.contentType, 'text/plain')
    await rejects(() => storage.copy(key('absent'), key('copy-of-absent')), 'object-not-found')
    await rejects(() => storage.copy(key('original'), key('copy')), 'key-taken')
  },
  'list gives keys in the order of their bytes, below a prefix and after a key': async ({ storage, key }) => {
    const keys = ['list/a', 'list/B', 'list/b/c', 'list/ä', 'list/z'].map(key)
    for (const each of keys) await storage.put(each, bytesOf(Buffer.from('x')))
    const sorted = [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
    assert.deepEqual(await listKeys(storage, { prefix: key('list/') }), sorted)
    assert.deepEqual(
      await listKeys(storage, { prefix: key('list/'), after: sorted[1] as string }),
      sorted.slice(2),
    )
  },
  'keys with spaces, quotes, percent signs and Unicode work': async ({ storage, key }) => {
    const odd = key("a b+c%20d'é(1)&=?#报告.txt")
    await storage.put(odd, bytesOf(Buffer.from('odd')))
    assert.equal((await read(storage, odd)).toString(), 'odd')
    await storage.copy(odd, `${odd}.copy`)
    assert.deepEqual(await listKeys(storage, { prefix: odd }), [odd, `${odd}.copy`])
  },
  'url gives an address that ends': async ({ storage, key, options }) => {
    await storage.put(key("url '报告' (1).txt"), bytesOf(Buffer.from('by url')))
    const { url, expiresAt, refreshAt } = await storage.url(key("url '报告' (1).txt"), {
      expiresInSeconds: 60,
    })
    assert.ok(
      expiresAt === null || expiresAt.getTime() <= Date.now() + 60_000,
      'it must not live longer than asked',
    )
    assert.ok(refreshAt instanceof Date)
    if (options.fetch !== undefined) assert.equal(Buffer.from(await options.fetch(url)).toString(), 'by url')
  },
}

/**
 * Checks that a storage keeps the contract of `FileStorage`, in whatever test runner: stores, reads and deletes objects
 * under a random prefix, and leaves nothing.
 *
 * @throws AggregateError with an error for each rule that does not hold, named after the rule.
 */
export async function lintStorage(storage: FileStorage, options: StorageLintOptions = {}): Promise<void> {
  checkOptions('lintStorage', options, { largeFileBytes: option.integer(1), fetch: option.function })
  const prefix = `${storage.keyPrefix}lint-${randomBytes(8).toString('hex')}/`
  const failures: Error[] = []
  for (const [rule, check] of Object.entries(rules)) {
    try {
      await check({ storage, options, key: (name) => prefix + name })
    } catch (cause) {
      failures.push(new Error(`${rule}: ${(cause as Error).message}`, { cause }))
    }
  }
  try {
    await storage.deleteMany(await listKeys(storage, { prefix }))
  } catch (cause) {
    failures.push(new Error(`list and deleteMany clean up: ${(cause as Error).message}`, { cause }))
  }
  if (failures.length > 0) {
    throw new AggregateError(
      failures,
      `the storage breaks its contract:\n${failures.map(({ message }) => `- ${message}`).join('\n')}`,
    )
  }
}

function bytesOf(bytes: Buffer): Readable {
  return Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false })
}

function oddChunks(bytes: Buffer, failure?: Error): Readable {
  function* chunks() {
    for (let start = 0, size = 1; start < bytes.length; start += size, size = (size * 7 + 13) % 70_001) {
      yield bytes.subarray(start, start + size)
    }
    if (failure !== undefined) throw failure
  }
  return Readable.from(chunks(), { objectMode: false })
}

async function read(
  storage: FileStorage,
  key: string,
  range?: { start?: number; end?: number },
): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of await storage.open(key, range)) chunks.push(Buffer.from(chunk as Buffer))
  return Buffer.concat(chunks)
}

async function listKeys(
  storage: FileStorage,
  options: { prefix?: string; after?: string },
): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of storage.list(options)) keys.push(key)
  return keys
}

async function rejects(
  action: () => Promise<unknown>,
  code: 'key-taken' | 'object-not-found',
): Promise<void> {
  await assert.rejects(action, (error) => isS3FileError(error, code), `it must reject with '${code}'`)
}
