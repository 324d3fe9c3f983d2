import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MiB } from '../../src/core/bytes.ts'
import { type ClamAvOptions, clamAvInspector } from '../../src/upload/clam-av-inspector.ts'
import { sha256Inspector } from '../../src/upload/sha256-inspector.ts'
import { type UploadRequestOptions, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { Clamd, eicar, freePort, hasClamd } from '../support/clamd.ts'
import { post, startServer, type TestServer } from '../support/http-server.ts'
import { formBody, formType, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

let world: S3World
let server: TestServer
let options: UploadRequestOptions = {}
beforeAll(async () => {
  world = await S3World.start()
  server = await startServer((request) => uploadFromRequest(request, options))
})
afterEach(() => world.clear())
afterAll(async () => {
  await server.stop()
  await world.stop()
})

const send = (content: Uint8Array, clam: ClamAvOptions) => {
  options = { inspect: [clamAvInspector(clam), sha256Inspector()] }
  return post(server.url, formBody({ name: 'file', filename: 'a.bin', content }), formType)
}

async function nothingLeft(): Promise<void> {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
}

// Against real servers clamd must be there as well: then the tests fail without it.
const isOptional = S3World.server.kind === 'embedded'

describe.skipIf(isOptional && !hasClamd)('a file that clamd scans (not run without /usr/sbin/clamd)', () => {
  let clamd: Clamd
  beforeAll(async () => {
    clamd = await Clamd.start({ streamMaxLength: '20M' })
  })
  afterAll(() => clamd?.stop())

  it.each([
    ['a small one', 1000],
    ['one of several parts', 12 * MiB],
    ['an empty one', 0],
  ])('and finds clean is stored: %s', async (_what, length) => {
    const answer = await send(sampleBytes(length), { port: clamd.port })
    expect(answer).toMatchObject({ status: 200, body: { size: length } })
    expect(await world.keys()).toHaveLength(1)
  })

  it.each([
    ['is EICAR', () => eicar],
    ['begins with EICAR', () => Buffer.concat([eicar, sampleBytes(7 * MiB)])],
    ['ends with EICAR', () => Buffer.concat([sampleBytes(7 * MiB), eicar])],
  ])('and that %s is refused with 422 and leaves nothing', async (_what, content) => {
    const answer = await send(content(), { port: clamd.port })
    expect(answer).toMatchObject({
      status: 422,
      body: {
        code: 'rejected-by-inspector',
        message:
          "file 'a.bin' in field 'file' is refused: it is infected with Eicar-Test-Signature.UNOFFICIAL",
      },
    })
    await nothingLeft()
    // Not stored for a moment either.
    const operations = world.proxy.requests.map(({ operation }) => operation)
    expect(operations).not.toContain('PutObject')
    expect(operations).not.toContain('CompleteMultipartUpload')
  })

  it('is refused with 413 beyond maxStreamBytes, which is inclusive', async () => {
    const limits = { port: clamd.port, maxStreamBytes: 100_000 }
    expect((await send(sampleBytes(100_000), limits)).status).toBe(200)
    await world.clear()
    const answer = await send(sampleBytes(100_001), limits)
    expect(answer).toMatchObject({ status: 413, body: { code: 'file-too-large' } })
    expect(answer.body.message).toBe(
      "file 'a.bin' is larger than the 100000 bytes that can be scanned for malware",
    )
    await nothingLeft()
  })

  it("is not stored when it is longer than clamd's own limit", async () => {
    const answer = await send(sampleBytes(21 * MiB), { port: clamd.port })
    expect(answer).toMatchObject({ status: 503, body: { code: 'inspector-failed' } })
    // It closes the connection at once: whether its answer is still heard is the kernel's business.
    expect(answer.body.message).toMatch(/INSTREAM size limit exceeded|StreamMaxLength smaller/)
    await nothingLeft()
  })

  it.each([
    ['small', 1000],
    ['more than the connection holds', 16 * MiB],
  ])('is not stored when clamd stalls: %s', async (_what, length) => {
    clamd.freeze()
    try {
      const answer = await send(sampleBytes(length), { port: clamd.port, timeoutSeconds: 1 })
      expect(answer).toMatchObject({ status: 503, body: { code: 'inspector-failed' } })
      expect(answer.body.message).toContain('clamd has not gone on for 1 s')
    } finally {
      clamd.thaw()
    }
    await nothingLeft()
  })
})

describe('a file that clamd cannot scan', () => {
  it('is not stored', async () => {
    const answer = await send(sampleBytes(1000), { port: await freePort() })
    expect(answer).toMatchObject({ status: 503, body: { code: 'inspector-failed' } })
    expect(answer.body.message).toContain('ECONNREFUSED')
    await nothingLeft()
    expect(world.proxy.requests.filter(({ operation }) => !operation.startsWith('List'))).toEqual([])
  })
})
