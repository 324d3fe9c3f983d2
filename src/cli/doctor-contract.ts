import { Readable } from 'node:stream'
import { isS3FileError, type S3FileErrorCode } from '../core/errors.js'
import type { FileStorage } from '../core/file-storage.js'
import { cleanUpFinding, type DiagnoseOptions, type Finding, find } from '../core/finding.js'
import { compareKeys } from '../core/object-key.js'

/** A storage that says nothing for so long is not waited for. */
const patienceSeconds = 60

const bytes = Buffer.from('a probe of typeorm-s3-file doctor')

/** Checks what a storage does by the contract of `FileStorage` alone, and deletes its probes again. */
export async function* checkContract(
  storage: FileStorage,
  { probePrefix, signal }: Pick<DiagnoseOptions, 'probePrefix' | 'signal'>,
): AsyncIterable<Finding> {
  // In the order of bytes, which is neither a dictionary's (p, Z) nor that of UTF-16 (the last one first).
  const keys = ['Zero.txt', 'probe \uff5e.txt', 'probe \u{1f600}.txt'].map((name) => probePrefix + name)
  const [empty, probe, copy] = keys as [string, string, string]
  const below = `${probe}/below.txt`
  const made = new Set<string>()
  // Whatever makes an object is waited for, so that it is known what there is to delete.
  const write = async (key: string, work: Promise<unknown>) => {
    try {
      await inTime(work)
      made.add(key)
    } catch (error) {
      if (mayHaveMade(error)) made.add(key)
      throw error
    }
  }
  const read = <T>(work: Promise<T>) => inTime(work, signal)
  const isThere = async (key: string) => (await read(storage.stat(key))) !== null

  try {
    const put = await find('put', signal, async () => {
      const options = { contentType: 'text/plain', isKeyUnique: true }
      await write(probe, storage.put(probe, streamOf(bytes), options))
      await write(empty, storage.put(empty, streamOf(Buffer.alloc(0)), options))
      return 'stores objects, an empty one too'
    })
    yield put
    if (put.status === 'problem') {
      yield {
        check: 'contract',
        status: 'skipped',
        message: 'stat, open, range, copy, list, url, delete: there is no probe to try them on',
      }
      return
    }
    yield await find('stat', signal, async () => {
      const stat = await read(storage.stat(probe))
      if (stat?.size === bytes.length && (await read(storage.stat(empty)))?.size === 0)
        return 'says how large an object is'
      return problem(`says ${stat?.size ?? 'nothing'} of an object of ${bytes.length} bytes`)
    })
    yield await find('open', signal, async () =>
      (await read(bytesOf(storage, probe))).equals(bytes)
        ? 'gives back the bytes that were stored'
        : problem('gives back other bytes than were stored'),
    )
    yield await find('range', signal, async () =>
      (await read(bytesOf(storage, probe, { start: 2, end: 6 }))).equals(bytes.subarray(2, 7))
        ? 'gives a range of an object'
        : problem('gives other bytes than the range that was asked for'),
    )
    yield await find('copy', signal, async () => {
      await write(copy, storage.copy(probe, copy))
      return (await read(bytesOf(storage, copy))).equals(bytes)
        ? 'copies an object'
        : problem('made a copy of other bytes')
    })
    yield await find('list', signal, async () => {
      const listed = await read(listKeys(storage, probePrefix))
      const expected = listed.toSorted(compareKeys)
      if (!listed.includes(empty) || !listed.includes(probe))
        return problem('does not list the objects that are there')
      if (listed.every((key, index) => key === expected[index]))
        return "lists objects in the order of their keys' bytes"
      return {
        status: 'warning',
        message: "does not list objects in the order of their keys' bytes: reconcile refuses such a storage",
      }
    })
    yield* checkUrl(storage, probe, signal)
    yield await find('nested-keys', signal, async () => {
      try {
        await write(below, storage.put(below, streamOf(bytes), { isKeyUnique: true }))
        return 'keeps objects a and a/b side by side'
      } catch (error) {
        return {
          status: 'warning',
          message: `cannot keep objects a and a/b side by side (${(error as Error).message})`,
          fix: "Keys of a field's own 'key' function must not lie below one another; those of 'unique' and 'timestamped' never do.",
        }
      }
    })
    yield await find('delete', signal, async () => {
      await inTime(storage.delete(probe))
      if (await isThere(probe)) return problem('still has the object after deleting it')
      await inTime(storage.delete(probe))
      return 'deletes an object, and is content with one that is gone'
    })
    yield await find('delete-many', signal, async () => {
      const [failure] = await inTime(storage.deleteMany(made))
      if (failure !== undefined) throw failure.error
      return (await isThere(empty))
        ? problem('still has the object after deleting it')
        : 'deletes many at once'
    })
  } finally {
    const left = cleanUpFinding(await cleanUp(storage, probePrefix, [...made]))
    if (left !== undefined) yield left
  }
}

async function* checkUrl(storage: FileStorage, key: string, signal: AbortSignal): AsyncIterable<Finding> {
  let answer: Response | undefined
  yield await find('url', signal, async () => {
    const { url } = await inTime(
      storage.url(key, { expiresInSeconds: 60, downloadName: 'probe.txt', contentType: 'text/x-probe' }),
      signal,
    )
    if (!/^https?:/.test(url)) {
      return { status: 'skipped', message: `its URLs (${new URL(url).protocol}) cannot be fetched from here` }
    }
    const response = await fetch(url, {
      headers: { Range: 'bytes=2-6' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceSeconds * 1000)]),
    })
    const got = Buffer.from(await response.arrayBuffer())
    if (!response.ok)
      return problem(`the URL of an object answers ${response.status} ${codeIn(got.toString())}`.trimEnd())
    answer = response
    if (response.status === 206 && got.equals(bytes.subarray(2, 7)))
      return 'the URL of an object gives its bytes, and a range of them'
    return got.equals(bytes)
      ? { status: 'warning', message: 'the URL of an object gives its bytes, but never a range of them' }
      : problem('the URL of an object gives other bytes')
  })
  yield await find('url-headers', signal, async () => {
    if (answer === undefined) return { status: 'skipped', message: 'there is no answer of a URL to look at' }
    const { headers } = answer
    const isAttachment = headers.get('content-disposition')?.startsWith('attachment')
    if (isAttachment && headers.get('content-type')?.startsWith('text/x-probe'))
      return 'the URL of an object answers with the disposition, name and type that it was made for'
    return {
      status: 'warning',
      message:
        "the URL of an object does not answer with the disposition, name and type that it was made for: the object's own " +
        "headers hold, and url()'s disposition, downloadName and contentType have no effect",
    }
  })
}

/** Errors of a store that has done nothing. */
const refusals: S3FileErrorCode[] = ['storage-refused', 'key-taken', 'object-not-found', 'checksum-mismatch']

/** Whether a failed `put()` or `copy()` may have made an object. */
function mayHaveMade(error: unknown): boolean {
  if (!isS3FileError(error)) return true
  const { leftBehind, mayBeLeft, neverSent } = error.context
  if (leftBehind !== undefined || mayBeLeft !== undefined) return true
  return neverSent !== true && !refusals.includes(error.code)
}

/** @returns the keys that may still be there. */
async function cleanUp(storage: FileStorage, probePrefix: string, keys: string[]): Promise<string[]> {
  const left: string[] = []
  for (const key of keys) {
    try {
      await inTime(storage.delete(key))
    } catch (error) {
      left.push(`object '${key}' (${(error as Error).message})`)
    }
  }
  if (left.length > 0) return left
  try {
    return (await inTime(listKeys(storage, probePrefix))).filter((key) => keys.includes(key))
  } catch {
    return [] // Each delete has succeeded; that it lists nothing is known already.
  }
}

/** Waits for it, but not for ever, and for what changes nothing no longer than until the checks are to end. */
async function inTime<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined
  const end = new Promise<never>((_resolve, reject) => {
    signal?.throwIfAborted()
    const timer = setTimeout(
      () => reject(new Error(`no answer within ${patienceSeconds} seconds`)),
      patienceSeconds * 1000,
    )
    const onAbort = () => reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    stop = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  })
  return Promise.race([work, end]).finally(stop)
}

function streamOf(content: Buffer): Readable {
  return Readable.from(content.length === 0 ? [] : [content], { objectMode: false })
}

async function bytesOf(
  storage: FileStorage,
  key: string,
  range?: { start: number; end: number },
): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of await storage.open(key, range)) chunks.push(Buffer.from(chunk as Buffer))
  return Buffer.concat(chunks)
}

async function listKeys(storage: FileStorage, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of storage.list({ prefix })) keys.push(key)
  return keys
}

function problem(message: string): Omit<Finding, 'check'> {
  return { status: 'problem', message }
}

/** S3 names what is wrong in the body of its answer. */
function codeIn(body: string): string {
  return /<Code>(\w{1,60})<\/Code>/.exec(body)?.[1] ?? ''
}
