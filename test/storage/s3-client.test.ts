import { setFlagsFromString } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/storage/s3-client.ts'

describe("a storage's own client", () => {
  it('keeps its middleware from one request to the next', () => {
    expect(createClient().config.cacheMiddleware).toBe(true)
  })

  it.each([
    ['redirects', { followRegionRedirects: true }],
    ['a retry strategy', { retryStrategy: {} as never }],
    ['its own word', { cacheMiddleware: false }],
  ])('does not with %s', (_what, config) => {
    expect(createClient(config).config.cacheMiddleware).toBe(false)
  })

  it('has its configuration in the form that V8 copies fast', () => {
    setFlagsFromString('--allow-natives-syntax')
    const isFast = new Function('object', 'return %HasFastProperties(object)') as (object: object) => boolean
    setFlagsFromString('--no-allow-natives-syntax')
    expect(isFast(createClient({ region: 'x' }).config)).toBe(true)
  })
})
