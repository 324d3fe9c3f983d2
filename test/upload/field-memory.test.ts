import { afterEach, describe, expect, it } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { FieldMemory, fieldMemory } from '../../src/upload/field-memory.ts'
import { uploadFormFromRequest, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { setUploadLimits } from '../../src/upload/upload-slots.ts'
import { post, RawRequest, startServer } from '../support/http-server.ts'
import { formBody, formType, partHead } from '../support/multipart.ts'

const KiB = 1024
const MiB = 1024 * KiB

describe('the memory for the fields of forms', () => {
  it('is taken from the form that holds most, as often as it is used up', () => {
    const memory = new FieldMemory(100)
    const evicted: string[] = []
    const share = (name: string, bytes: number) => {
      const own = memory.share((error) => evicted.push(`${name}: ${error.code}`))
      own.add(bytes)
      return own
    }
    share('small', 10)
    share('largest', 50)
    const middle = share('middle', 30)
    share('last', 20)
    expect({ evicted, usedBytes: memory.usedBytes }).toEqual({
      evicted: ['largest: too-many-uploads'],
      usedBytes: 60,
    })
    middle.release()
    middle.release()
    middle.add(50)
    expect(memory.usedBytes).toBe(30)
    share('own', 71)
    expect(evicted).toEqual(['largest: too-many-uploads', 'own: too-many-uploads'])
  })

  it('never refuses a form that holds less than its equal share of it', () => {
    const memory = new FieldMemory(1000)
    const evicted: number[] = []
    const shares = Array.from({ length: 10 }, (_, index) => memory.share(() => evicted.push(index)))
    for (let round = 0; round < 200; round++) {
      for (const [index, share] of shares.entries()) {
        if (!evicted.includes(index)) share.add(index === 0 && round >= 99 ? 0 : 1)
      }
    }
    expect(evicted).not.toContain(0)
    expect(evicted.length).toBeGreaterThan(0)
  })

  it('is refused with 413 to a form that wants more than all of it', () => {
    const memory = new FieldMemory(100)
    const codes: string[] = []
    memory.share(({ code, statusCode }) => codes.push(`${statusCode} ${code}`)).add(101)
    expect({ codes, usedBytes: memory.usedBytes }).toEqual({ codes: ['413 field-too-large'], usedBytes: 0 })
  })
})

describe('forms that stall with full fields', () => {
  const stalled: RawRequest[] = []
  afterEach(() => {
    setUploadLimits({})
    configureStorages({})
    for (const request of stalled.splice(0)) request.socket.destroy()
  })

  async function stallAll(port: number): Promise<void> {
    const body = Buffer.concat([partHead({ name: 'text' }), Buffer.alloc(MiB - 100, 'x')])
    for (let count = 0; count < 20; count++) {
      const request = await RawRequest.open(port, { 'content-type': formType, 'content-length': 50 * MiB })
      stalled.push(request)
      await request.send(body)
    }
  }

  it('hold no more than the limit for the process: 503 for the largest, and small forms pass', async () => {
    configureStorages({ default: new MemoryStorage() })
    setUploadLimits({ fieldMemoryBytes: 8 * MiB })
    const server = await startServer((request) => uploadFormFromRequest(request))
    await stallAll(server.port)
    const small = formBody({ name: 'title', content: 'x'.repeat(100 * KiB) })
    expect(await post(server.url, small, formType)).toMatchObject({ status: 200 })
    expect(fieldMemory.usedBytes).toBeLessThanOrEqual(8 * MiB)
    expect(fieldMemory.usedBytes).toBeGreaterThan(5 * MiB)
    const refused = await Promise.race(server.outcomes.slice(0, 20)).catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'too-many-uploads',
      statusCode: 503,
      context: { limit: 'fieldMemoryBytes', value: 8 * MiB },
    })
    await server.stop()
    await Promise.allSettled(server.outcomes)
    expect(fieldMemory.usedBytes).toBe(0)
  })

  it('hold nothing where uploadFromRequest reads them, which wants no fields', async () => {
    configureStorages({ default: new MemoryStorage() })
    const server = await startServer((request) => uploadFromRequest(request))
    await stallAll(server.port)
    const form = formBody({ name: 'title', content: 'x' }, { name: 'file', filename: 'a.txt', content: 'x' })
    expect(await post(server.url, form, formType)).toMatchObject({ status: 200 })
    expect(fieldMemory.usedBytes).toBe(0)
    await server.stop()
    await Promise.allSettled(server.outcomes)
  })
})
