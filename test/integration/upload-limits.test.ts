import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { S3FileError } from '../../src/core/errors.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { partMemory } from '../../src/storage/part-memory.ts'
import {
  type UploadRequestOptions,
  uploadFormFromRequest,
  uploadFromRequest,
} from '../../src/upload/upload-from-request.ts'
import { setUploadLimits, uploadSlots } from '../../src/upload/upload-slots.ts'
import { holdPartMemory } from '../support/held-memory.ts'
import { post, RawRequest, startServer, type TestServer } from '../support/http-server.ts'
import { boundary, formBody, formEnd, formType, partHead, sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

const MiB = 1024 * 1024
const head = partHead({ name: 'file', filename: 'x.bin' })
const file = { name: 'file', filename: 'a.txt', content: 'x' }

let world: S3World
let server: TestServer
let options: UploadRequestOptions = {}

beforeAll(async () => {
  world = await S3World.start()
  server = await startServer((request) =>
    options.limits?.files === 1
      ? uploadFromRequest(request, options)
      : uploadFormFromRequest(request, options),
  )
})
afterEach(async () => {
  options = {}
  setUploadLimits({})
  configureStorages({ default: world.storage })
  await world.clear()
})
afterAll(async () => {
  await server.stop()
  await world.stop()
})

const open = (headers: Record<string, string | number>) =>
  RawRequest.open(server.port, { 'content-type': formType, ...headers })

const closed = (request: RawRequest) =>
  new Promise<void>((resolve) => (request.socket.closed ? resolve() : request.socket.once('close', resolve)))

const until = async (isSo: () => boolean) => {
  while (!isSo()) await sleep(5)
}

const nothingLeft = async () => {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
  expect({ part: partMemory.usedBytes, slots: uploadSlots.used, waiting: uploadSlots.waiting }).toEqual({
    part: 0,
    slots: 0,
    waiting: 0,
  })
}

describe('a limit', () => {
  const stray = (bytes: number) => Buffer.alloc(bytes, 'p')
  const long = (bytes: number) => ({ ...file, filename: 'n'.repeat(bytes) })
  const headed = (lines: string) =>
    Buffer.from(formBody(file).toString().replace('\r\n\r\n', `\r\n${lines}\r\n\r\n`))
  const headerBytes = head.length - `--${boundary}\r\n`.length

  it.each<[string, string, string, number, (size: number) => Buffer]>([
    [
      'a preamble',
      'preambleSizeBytes',
      'request-too-large',
      1024,
      (size) => Buffer.concat([stray(size), Buffer.from('\r\n'), formBody(file)]),
    ],
    [
      'an epilogue',
      'epilogueSizeBytes',
      'request-too-large',
      1024,
      (size) => Buffer.concat([formBody(file), stray(size)]),
    ],
    ['a file name', 'fileNameSizeBytes', 'file-name-too-long', 1024, (size) => formBody(long(size))],
    [
      'a part header',
      'partHeaderSizeBytes',
      'part-header-too-large',
      8192,
      (size) => headed(`X: ${'v'.repeat(size - headerBytes - 'X: \r\n'.length)}`),
    ],
    [
      'header lines',
      'partHeaders',
      'part-header-too-large',
      32,
      (size) => headed(Array.from({ length: size - 1 }, () => 'X: 1').join('\r\n')),
    ],
    [
      "a field's name",
      'fieldNameSizeBytes',
      'field-too-large',
      100,
      (size) => formBody({ name: 'n'.repeat(size), content: 'x' }),
    ],
    [
      "a field's value",
      'fieldSizeBytes',
      'field-too-large',
      MiB,
      (size) => formBody({ name: 'text', content: stray(size) }),
    ],
    [
      "all fields' values",
      'allFieldsSizeBytes',
      'field-too-large',
      2 * MiB,
      (size) =>
        formBody(
          { name: 'a', content: stray(MiB) },
          { name: 'b', content: stray(size - MiB - 5) },
          { name: 'c', content: '12345' },
        ),
    ],
    ['files', 'files', 'too-many-files', 10, (size) => formBody(...Array.from({ length: size }, () => file))],
    [
      'fields',
      'fields',
      'too-many-fields',
      100,
      (size) => formBody(...Array.from({ length: size }, () => ({ name: 'a', content: '' }))),
    ],
    [
      'parts',
      'parts',
      'too-many-parts',
      1000,
      (size) =>
        formBody(
          ...Array.from({ length: size }, () => ({
            ...file,
            filename: '',
            content: '',
            type: 'application/octet-stream',
          })),
        ),
    ],
  ])(
    'of %s passes by default with exactly as much, and is named in the 413 for more',
    async (_, limit, code, value, body) => {
      expect(await post(server.url, body(value), formType)).toMatchObject({ status: 200 })
      await world.clear()
      expect(await post(server.url, body(value + 1), formType)).toMatchObject({ status: 413, body: { code } })
      const error = (await server.outcomes.at(-1)?.catch((caught: unknown) => caught)) as S3FileError
      expect(error.context).toEqual({ limit, value })
      await nothingLeft()
    },
  )

  it.each([
    ['a field that never ends', partHead({ name: 'text' })],
    ['a preamble that never ends', Buffer.alloc(0)],
    ['an epilogue that never ends', formEnd],
    ['a header that never ends', Buffer.from(`--${boundary}\r\nX: `)],
  ])('stops %s while it comes', async (_, start) => {
    const request = await open({ 'content-length': 20 * 1024 * MiB })
    await request.send(start)
    for (let sent = 0; sent < 3 && !request.socket.destroyed; sent++)
      await request.send(Buffer.alloc(MiB, 'x'))
    expect(await request.status()).toBe(413)
    request.socket.destroy()
    await nothingLeft()
  })

  it('of 70 bytes for a boundary is that of RFC 2046', async () => {
    const of = (length: number) => `multipart/form-data; boundary=${'b'.repeat(length)}`
    const body = (length: number) => formBody(file).toString().replaceAll(boundary, 'b'.repeat(length))
    expect((await post(server.url, body(70), of(70))).status).toBe(200)
    expect(await post(server.url, body(71), of(71))).toMatchObject({
      status: 400,
      body: { code: 'not-multipart', message: 'the boundary is longer than the limit of 70 bytes' },
    })
  })

  it('lets a field pass that comes byte by byte, each in a chunk of its own', async () => {
    const request = await open({ 'transfer-encoding': 'chunked' })
    const chunk = (bytes: string | Buffer) =>
      `${bytes.length.toString(16)}\r\n${bytes.toString('latin1')}\r\n`
    await request.send(chunk(partHead({ name: 'text' })))
    await request.send('1\r\nx\r\n'.repeat(10_000))
    await request.send(`${chunk(`\r\n--${boundary}--`)}0\r\n\r\n`)
    expect(await request.status()).toBe(200)
    expect(await server.outcomes.at(-1)).toEqual({ files: {}, fields: { text: ['x'.repeat(10_000)] } })
    request.socket.destroy()
  })
})

describe('a body of 20 GiB that is refused at its first bytes', () => {
  it('is not read to its end: the answer goes out, and then the connection ends', async () => {
    options = { accept: ['image/*'] }
    const request = await open({ 'content-length': 20 * 1024 * MiB })
    await request.send(Buffer.concat([head, sampleBytes(5000)])) // Enough to tell its type by.
    expect(await request.status()).toBe(415)
    const chunk = sampleBytes(MiB)
    let sent = 0
    while (!request.socket.destroyed && sent < 200) {
      await request.send(chunk)
      sent++
    }
    await closed(request)
    expect(sent).toBeLessThan(100)
  })
})

describe('a body whose connection is to be closed after it', () => {
  it.each(['HTTP/1.1', 'HTTP/1.0'])(
    'is let go by all the same, so that %s clients that read later see the answer',
    async (version) => {
      options = { accept: ['image/*'] }
      const socket = connect(server.port, '127.0.0.1').pause()
      const failure = new Promise((resolve) => socket.once('error', resolve))
      const length = 12 * MiB
      const handled = server.outcomes.length
      const send = (bytes: string | Buffer) => new Promise<void>((sent) => socket.write(bytes, () => sent()))
      await send(
        `POST / ${version}\r\nHost: a\r\nConnection: close\r\nContent-Type: ${formType}\r\nContent-Length: ${length}\r\n\r\n`,
      )
      await send(head)
      await send(sampleBytes(5000))
      await until(() => server.outcomes.length > handled)
      await expect(server.outcomes.at(-1)).rejects.toMatchObject({ code: 'type-not-accepted' })
      let left = length - head.length - 5000
      const chunk = sampleBytes(MiB)
      const sending = (async () => {
        for (; left > 0; left -= chunk.length) await send(chunk.subarray(0, left))
      })()
      expect(await Promise.race([sending, failure])).toBeUndefined()
      let answer = ''
      socket.on('data', (bytes) => {
        answer += bytes.toString('latin1')
      })
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve))
      expect(answer).toMatch(/^HTTP\/1.1 415 /)
    },
  )
})

describe('a client that stalls', () => {
  it('ends with 408 and frees its memory, many of them and at once, while others upload', async () => {
    configureStorages({ default: world.newStorage({ maxConcurrentParts: 1 }) })
    options = { limits: { idleTimeoutSeconds: 2 } }
    const handled = server.outcomes.length
    const stalled = await Promise.all(Array.from({ length: 40 }, () => open({ 'content-length': 50 * MiB })))
    // Enough for each to want memory for its part.
    await Promise.all(stalled.map((request) => request.send(Buffer.concat([head, sampleBytes(200_000)]))))
    await until(() => partMemory.usedBytes >= 40 * 200_000)
    const started = post(server.url, formBody({ ...file, content: sampleBytes(12 * MiB) }), formType)
    const small = await post(server.url, formBody({ ...file, content: sampleBytes(50_000) }), formType)
    expect(small.status).toBe(200)
    expect(await Promise.all(stalled.map((request) => request.status()))).toEqual(stalled.map(() => 408))
    expect((await started).status).toBe(200)
    const ends = await Promise.allSettled(server.outcomes.slice(handled))
    const codes = ends.map((end) => (end.status === 'rejected' ? end.reason.code : 'stored'))
    expect(codes.filter((code) => code === 'request-timeout')).toHaveLength(40)
    await world.clear()
    await nothingLeft()
    // They never read the answer, and are not kept for it.
    await Promise.all(stalled.map(closed))
  })

  it('or drips ends with 408', async () => {
    options = { limits: { idleTimeoutSeconds: 1, minBytesPerSecond: 1000 } }
    const request = await open({ 'content-length': MiB })
    await request.send(head)
    const dripping = setInterval(() => request.send('x'), 50)
    expect(await request.status()).toBe(408)
    clearInterval(dripping)
    expect(await server.outcomes.at(-1)?.catch((error: unknown) => error)).toMatchObject({ code: 'too-slow' })
    request.socket.destroy()
    await nothingLeft()
  })

  it('because S3 is slow is not to blame, nor because the memory for parts is used up', async () => {
    configureStorages({ default: world.newStorage({ maxConcurrentParts: 1 }) })
    options = { limits: { idleTimeoutSeconds: 1, minBytesPerSecond: 100_000 } }
    const giveBack = holdPartMemory()
    const answer = post(server.url, formBody({ ...file, content: sampleBytes(22 * MiB) }), formType)
    await sleep(2500)
    world.proxy.delayMs = 700
    giveBack()
    expect((await answer).status).toBe(200)
  })
})

describe('uploads beyond those at once', () => {
  const stall = async () => {
    const request = await open({ 'content-length': 50 * MiB })
    await request.send(Buffer.concat([head, sampleBytes(1000)]))
    return request
  }

  it('wait for their turn with their bodies unread, and go on in line', async () => {
    setUploadLimits({ concurrent: 1 })
    const first = await stall()
    await until(() => uploadSlots.used === 1)
    const second = post(server.url, formBody(file), formType)
    await until(() => uploadSlots.waiting === 1)
    first.socket.destroy()
    expect((await second).status).toBe(200)
    await world.clear()
    await nothingLeft()
  })

  it('get the places of clients that drip, which have them only while nobody waits', async () => {
    setUploadLimits({ concurrent: 2 })
    const slow: RawRequest[] = []
    const drips: NodeJS.Timeout[] = []
    for (let count = 1; count <= 2; count++) {
      const request = await stall()
      slow.push(request)
      drips.push(setInterval(() => request.send(Buffer.alloc(2000)), 250)) // Far above minBytesPerSecond.
      await until(() => uploadSlots.used === count)
    }
    await sleep(4000)
    expect(uploadSlots.used).toBe(2)
    const handled = server.outcomes.length
    expect(await post(server.url, formBody(file), formType)).toMatchObject({ status: 200 })
    for (const drip of drips) clearInterval(drip)
    const refused = await Promise.race(server.outcomes.slice(handled - 2, handled)).catch((error) => error)
    expect(refused).toMatchObject({ code: 'too-slow', context: { limit: 'minBytesPerSecondWhenFull' } })
    for (const { socket } of slow) socket.destroy()
    await until(() => uploadSlots.used === 0)
  })

  it('are answered with 503 where too many wait', async () => {
    setUploadLimits({ concurrent: 1, queued: 0 })
    const first = await stall()
    await until(() => uploadSlots.used === 1)
    expect(await post(server.url, formBody(file), formType)).toMatchObject({
      status: 503,
      body: { code: 'too-many-uploads' },
    })
    first.socket.destroy()
    await until(() => uploadSlots.used === 0)
    await nothingLeft()
  })

  it.each(['goes away', 'is stopped by the signal'])('leave the line when the client %s', async (how) => {
    setUploadLimits({ concurrent: 1 })
    const first = await stall()
    await until(() => uploadSlots.used === 1)
    const abort = new AbortController()
    options = { signal: abort.signal }
    const second = await stall()
    await until(() => uploadSlots.waiting === 1)
    if (how === 'goes away') second.socket.destroy()
    else abort.abort()
    expect(await server.outcomes.at(-1)?.catch((error: unknown) => error)).toMatchObject({
      code: how === 'goes away' ? 'client-gone' : 'upload-aborted',
    })
    expect({ used: uploadSlots.used, waiting: uploadSlots.waiting }).toEqual({ used: 1, waiting: 0 })
    first.socket.destroy()
    second.socket.destroy()
    await until(() => uploadSlots.used === 0)
    await nothingLeft()
  })
})
