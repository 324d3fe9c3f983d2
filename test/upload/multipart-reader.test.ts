import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { KiB } from '../../src/core/bytes.ts'
import type { ByteSource } from '../../src/upload/byte-source.ts'
import { resolveLimits } from '../../src/upload/form-limits.ts'
import { readMultipart } from '../../src/upload/multipart-reader.ts'

/** A body that is there at once, as that of a fast client on a local network is. */
function sourceOf(body: Readable) {
  return {
    contentType: 'multipart/form-data; boundary=b',
    contentEncoding: undefined,
    contentLength: undefined,
    url: '/',
    body,
    watch: () => () => undefined,
    discard: () => undefined,
    hangUp: () => undefined,
  }
}

it('lets other events have their turn, however fast the body comes', async () => {
  const chunk = Buffer.alloc(64 * KiB)
  const body = new Readable({ read() {} })
  body.push('--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n')
  for (let count = 0; count < 64; count++) body.push(chunk)
  body.push('\r\n--b--\r\n')
  body.push(null)
  let received = 0
  let atLastTurn = 0
  let most = 0
  let isDone = false
  const look = () => {
    most = Math.max(most, received - atLastTurn)
    atLastTurn = received
  }
  const turn = () => {
    look()
    if (!isDone) setImmediate(turn)
  }
  turn()
  const read = ({ bytes }: { bytes: ByteSource }) =>
    new Promise<void>((resolve, reject) =>
      bytes.sendTo({ write: () => undefined, end: resolve, fail: reject }),
    )
  await readMultipart(sourceOf(body), resolveLimits({}, 1), new AbortController().signal, {
    onFile: read,
    onField: () => undefined,
    onReceived: (count) => {
      received = count
    },
    onFailure: () => undefined,
  })
  look()
  isDone = true
  expect(received).toBeGreaterThan(64 * chunk.length)
  expect(most).toBeLessThan(400 * KiB)
})

it('fails the file that is coming when a handler rejects, be it with nothing', async () => {
  const body = new Readable({ read() {} })
  const head = (name: string) => `--b\r\nContent-Disposition: form-data; name="${name}"; filename="a"\r\n\r\n`
  body.push(`${head('first')}abc\r\n${head('second')}ab`)
  const errors: Error[] = []
  const read = ({ field, bytes }: { field: string; bytes: ByteSource }) =>
    new Promise<void>((resolve, reject) => {
      if (field === 'first') setImmediate(() => reject(undefined))
      const fail = (error: Error) => {
        errors.push(error)
        reject(error)
      }
      bytes.sendTo({ write: () => undefined, end: field === 'first' ? () => undefined : resolve, fail })
    })
  const reading = readMultipart(sourceOf(body), resolveLimits({}, 2), new AbortController().signal, {
    onFile: read,
    onField: () => undefined,
    onReceived: () => undefined,
    onFailure: () => undefined,
  })
  await expect(reading).rejects.toBeUndefined()
  expect(errors).toMatchObject([{ code: 'truncated-body' }])
})
