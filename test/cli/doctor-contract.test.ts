import type { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { checkContract } from '../../src/cli/doctor-contract.ts'
import { StorageError } from '../../src/core/errors.ts'
import type { FileStorage } from '../../src/core/file-storage.ts'
import type { Finding } from '../../src/core/finding.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'

const probePrefix = 'app/probe/'

async function findings(
  storage: FileStorage,
  signal = new AbortController().signal,
): Promise<Record<string, Finding>> {
  const found: Record<string, Finding> = {}
  for await (const finding of checkContract(storage, { probePrefix, signal })) found[finding.check] = finding
  return found
}

describe('checkContract', () => {
  it('finds nothing wrong with a storage that keeps the contract, and leaves it empty', async () => {
    const storage = new MemoryStorage({ keyPrefix: 'app' })
    const found = await findings(storage)
    const { url, 'url-headers': headers, ...others } = found
    expect(Object.values(others).map(({ status }) => status)).toEqual(Array(9).fill('ok'))
    expect([url?.status, headers?.status]).toEqual(['skipped', 'skipped'])
    expect(storage.objects.size).toBe(0)
  })

  it('tells why nothing else was tried when nothing can be stored', async () => {
    class Full extends MemoryStorage {
      override async put(): Promise<never> {
        throw new StorageError('storage-refused', 'the disk is full')
      }
    }
    const found = await findings(new Full())
    expect(found.put).toEqual({ check: 'put', status: 'problem', message: 'the disk is full' })
    expect(found.contract?.status).toBe('skipped')
    expect(Object.keys(found)).toEqual(['put', 'contract'])
  })

  it('tells of other bytes, of another order, and of nested keys that are refused', async () => {
    class Odd extends MemoryStorage {
      override async put(key: string, body: Readable) {
        if (key.endsWith('/below.txt')) throw new StorageError('storage-refused', 'a file is no folder')
        return super.put(key, body)
      }
      override open(key: string) {
        return super.open(key) // without the range
      }
      override async *list(options: { prefix?: string }) {
        const listed = []
        for await (const object of super.list(options)) listed.unshift(object)
        yield* listed
      }
    }
    const storage = new Odd()
    const { open, range, list, 'nested-keys': nested } = await findings(storage)
    expect(open?.status).toBe('ok')
    expect(range?.status).toBe('problem')
    expect(list?.status).toBe('warning')
    expect(nested).toMatchObject({ status: 'warning', fix: expect.stringContaining("'key' function") })
    expect(storage.objects.size).toBe(0)
  })

  it('says what it could not delete', async () => {
    class Sticky extends MemoryStorage {
      override async delete(): Promise<void> {
        throw new StorageError('storage-refused', 'not allowed')
      }
    }
    const { delete: deletion, 'clean-up': left } = await findings(new Sticky())
    expect(deletion).toMatchObject({ status: 'problem', message: 'not allowed' })
    expect(left).toMatchObject({
      status: 'problem',
      message: expect.stringContaining(`${probePrefix}Zero.txt`),
    })
  })

  it('says what a delete that does nothing has left', async () => {
    class Deaf extends MemoryStorage {
      override async delete(): Promise<void> {}
      override async deleteMany() {
        return []
      }
    }
    const { delete: deletion, 'delete-many': many, 'clean-up': left } = await findings(new Deaf())
    expect(deletion?.status).toBe('problem')
    expect(many?.status).toBe('problem')
    expect(left?.message).toContain(`${probePrefix}Zero.txt`)
  })

  it('deletes its probes when it is told to end in the middle', async () => {
    const end = new AbortController()
    class Slow extends MemoryStorage {
      override stat(): Promise<never> {
        end.abort(new Error('enough'))
        return new Promise(() => undefined)
      }
    }
    const storage = new Slow()
    await expect(findings(storage, end.signal)).rejects.toThrow('enough')
    expect(storage.objects.size).toBe(0)
  })
})
