import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { isS3File, S3File } from '../../src/core/s3-file.ts'
import { UnreadableS3File } from '../../src/core/unreadable-s3-file.ts'

function unreadable(raw: unknown = '{"key":7}'): UnreadableS3File {
  return new UnreadableS3File(raw, 'Document.file', "its 'key' is not an S3 key")
}

describe('a file whose row cannot be read', () => {
  it.each(['key', 'name', 'size', 'contentType', 'etag', 'checksum', 'uploadedAt', 'storage'] as const)(
    'says so to whoever reads its %s',
    (property) => {
      expect(() => unreadable()[property]).toThrow(
        expect.objectContaining({
          code: 'invalid-record',
          message: "Document.file holds no file record: its 'key' is not an S3 key",
        }),
      )
    },
  )

  it.each<[string, (file: S3File) => Promise<unknown>]>([
    ['url()', (file) => file.url()],
    ['signedUrl()', (file) => file.signedUrl()],
    ['stream()', (file) => file.stream()],
    ['bytes()', (file) => file.bytes()],
    ['exists()', (file) => file.exists()],
    ['discard()', (file) => file.discard()],
  ])('rejects %s', async (_name, action) => {
    await expect(action(unreadable())).rejects.toSatisfy((error) => isS3FileError(error, 'invalid-record'))
  })

  it('cannot be turned into a record, so it never overwrites its row', () => {
    expect(() => unreadable().toRecord()).toThrow('holds no file record')
  })

  it('names its row once that is known', () => {
    const file = unreadable()
    file.locate('{"id":7}')
    expect(file.toError().message).toContain('Document.file of row {"id":7} holds')
    expect(file.toError().context).toEqual({ column: 'Document.file', row: '{"id":7}' })
  })

  it('is a file like the others to all that only looks', () => {
    expect(isS3File(unreadable())).toBe(true)
    expect(unreadable()).toBeInstanceOf(S3File)
    expect(() => inspect(unreadable(), { showHidden: true })).not.toThrow()
    expect(Object.isFrozen(unreadable())).toBe(true)
  })

  it('shows in JSON that it is broken, and nothing of what the row holds', () => {
    expect(JSON.parse(JSON.stringify(unreadable('secret')))).toEqual({
      name: '',
      size: null,
      contentType: null,
      error: 'invalid-record',
    })
  })

  it('keeps what the driver gave', () => {
    expect(unreadable({ a: 1 }).raw).toEqual({ a: 1 })
  })

  it('equals another of the same content only', () => {
    expect(unreadable({ a: 1 }).equals(unreadable({ a: 1 }))).toBe(true)
    expect(unreadable({ a: 1 }).equals(unreadable({ a: 2 }))).toBe(false)
    expect(unreadable().equals(new S3File({ key: 'unreadable' }))).toBe(false)
    expect(new S3File({ key: 'unreadable' }).equals(unreadable())).toBe(false)
  })

  it('is known as unreadable also to another copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../../src/core/unreadable-s3-file.ts')
    const theirs = new copy.UnreadableS3File({ a: 1 }, 'Document.file', 'it is not JSON')
    expect(theirs).not.toBeInstanceOf(UnreadableS3File)
    expect(unreadable({ a: 1 }).equals(theirs)).toBe(true)
    expect(new S3File({ key: 'a' }).equals(theirs)).toBe(false)
  })
})
