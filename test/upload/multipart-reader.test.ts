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
