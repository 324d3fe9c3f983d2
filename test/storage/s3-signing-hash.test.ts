import { createHash, createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { SigningHash } from '../../src/storage/s3-signing-hash.ts'

const hex = async (hash: SigningHash) => Buffer.from(await hash.digest()).toString('hex')
const view = new DataView(new TextEncoder().encode('xxkey').buffer, 2)

describe("the signer's hash", () => {
  it.each([
    ['text', 'a grüße', 'a grüße'],
    ['bytes', new TextEncoder().encode('abc'), 'abc'],
    ['a buffer', new TextEncoder().encode('abc').buffer, 'abc'],
    ['a view', view, 'key'],
  ])('is SHA-256 of %s', async (_, data, text) => {
    const hash = new SigningHash()
    hash.update(data)
    expect(await hex(hash)).toBe(createHash('sha256').update(text).digest('hex'))
  })

  it.each([
    ['text', 'key', 'key'],
    ['bytes', new TextEncoder().encode('key'), 'key'],
    ['a view', view, 'key'],
    ['another text', 'another', 'another'],
  ])('with a secret in %s is its HMAC, also the second time and after a reset', async (_, secret, text) => {
    const expected = createHmac('sha256', text).update('data').digest('hex')
    for (let time = 0; time < 2; time++) {
      const hash = new SigningHash(secret)
      hash.update('other data')
      hash.reset()
      hash.update('data')
      expect(await hex(hash)).toBe(expected)
    }
  })
})
