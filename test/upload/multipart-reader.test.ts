import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import type { ByteSource } from '../../src/upload/byte-source.ts'
import { resolveLimits } from '../../src/upload/form-limits.ts'
import { readMultipart } from '../../src/upload/multipart-reader.ts'

function sourceOf(body: Readable) {
  return {
    contentType: 'multipart/form-data; boundary=b',
    contentEncoding: undefined,
    contentLength: undefined,
    url: '/',
    body,
    flow: () => undefined,
    watch: () => () => undefined,
    watchConnection: () => () => undefined,
    goneError: async () => undefined,
    discard: () => undefined,
    hangUp: () => undefined,
    freeChunk: () => undefined,
  }
}

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
    onText: () => undefined,
    onField: () => undefined,
    onReceived: () => undefined,
    onFailure: () => undefined,
  })
  await expect(reading).rejects.toBeUndefined()
  expect(errors).toMatchObject([{ code: 'truncated-body' }])
})
