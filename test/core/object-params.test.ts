import { describe, expect, it } from 'vitest'
import type { ObjectParams } from '../../src/core/file-storage.ts'
import { checkObjectParams } from '../../src/core/object-params.ts'
import { errorOf } from '../support/error-of.ts'

const all: Required<ObjectParams> = {
  ACL: 'private',
  BucketKeyEnabled: true,
  CacheControl: 'private, max-age=60',
  ContentDisposition: `attachment; filename="a.txt"; filename*=UTF-8''%C3%A4.txt`,
  ContentEncoding: 'gzip',
  ContentLanguage: 'de',
  Expires: new Date(),
  Metadata: { author: 'Ada', empty: '' },
  SSEKMSEncryptionContext: 'e30=',
  SSEKMSKeyId: 'arn:aws:kms:eu-west-1:1:key/2',
  ServerSideEncryption: 'aws:kms',
  StorageClass: 'STANDARD_IA',
  Tagging: { Abteilung: 'Einkauf & Lager, Köln' },
}

describe('object parameters', () => {
  it('are all that there are, and may be left out', () => {
    checkObjectParams('me', all)
    checkObjectParams('me', {})
    checkObjectParams('me', { ACL: undefined, Metadata: undefined } as never)
  })

  it.each(['Bucket', 'Key', 'ContentType', 'Body', 'ContentLength', 'IfNoneMatch', 'acl', 'toString'])(
    'do not say %s',
    (name) => {
      const error = errorOf(() => checkObjectParams('me', { [name]: 'x' } as never))
      expect(error).toMatchObject({ code: 'unknown-option', context: { owner: 'me', option: name } })
    },
  )

  it.each(Object.keys(all))('take for %s no value of another kind', (name) => {
    for (const wrong of [Symbol('x'), 1, name === 'BucketKeyEnabled' ? 'true' : false]) {
      const error = errorOf(() => checkObjectParams('me', { [name]: wrong } as never))
      expect(error.code).toBe('invalid-option')
    }
  })

  it.each<[object, string]>([
    [{ CacheControl: 'privé' }, "option 'CacheControl' takes a text of printable ASCII"],
    [{ ContentDisposition: 'a\r\nX-Evil: 1' }, "option 'ContentDisposition' takes a text of printable ASCII"],
    [{ Expires: new Date(Number.NaN) }, "option 'Expires' takes a Date that is valid"],
    [
      { Metadata: { name: '报告' } },
      "'name' of 'Metadata' takes a text of printable ASCII; encodeURIComponent()",
    ],
    [{ Metadata: { name: 'a\nb' } }, "'name' of 'Metadata' takes a text of printable ASCII"],
    [{ Metadata: { name: 1 } }, "'name' of 'Metadata' takes a text of printable ASCII"],
    [{ Metadata: { größe: '1' } }, "'größe' of 'Metadata' is no name of a header"],
    [{ Metadata: { 'a b': '1' } }, "'a b' of 'Metadata' is no name of a header"],
    [{ Tagging: { size: 1 } }, "'size' of 'Tagging' takes a text"],
    [{ Tagging: { half: '\ud83d' } }, "'half' of 'Tagging' takes a text"],
  ])('that no request can carry are refused: %o', (params, message) => {
    const error = errorOf(() => checkObjectParams('me', params))
    expect(error.code).toBe('invalid-option')
    expect(error.message).toContain(`me: ${message}`)
  })
})
