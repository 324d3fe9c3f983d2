import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { registerField } from '../../src/core/file-field.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFormFromRequest, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { anyField } from '../support/any-field.ts'
import { type FormPart, formBody, formType } from '../support/multipart.ts'

class User {
  declare photo: S3File
}
class Application {
  declare cv: S3File
}
registerField(User, 'photo', {
  ...anyField,
  label: 'User.photo',
  rules: { keyPrefix: 'photos', maxSizeBytes: 5 },
})
registerField(Application, 'cv', {
  ...anyField,
  label: 'Application.cv',
  rules: { keyPrefix: 'cvs', storage: 'archive', accept: ['text/*'] },
})
const into = { photo: [User, 'photo'], cv: [Application, 'cv'] } as const

let storages: { default: MemoryStorage; archive: MemoryStorage }
beforeEach(() => {
  storages = { default: new MemoryStorage(), archive: new MemoryStorage() }
  configureStorages(storages)
})
afterEach(() => configureStorages({}))

const request = (...parts: FormPart[]) =>
  new Request('http://host/?prefix=a', {
    method: 'POST',
    headers: { 'content-type': formType },
    body: new Uint8Array(formBody(...parts)),
  })
const photo = { name: 'photo', filename: 'a.bin', content: 'photo' }
const cv = { name: 'cv', filename: 'cv.txt', content: 'a long text' }

describe("'into' for each form field", () => {
  it('stores each file by the rules of its own entity, in its own storage', async () => {
    const { files } = await uploadFormFromRequest(request(cv, photo, { name: 'x', content: 'y' }), { into })
    expect(files.photo?.[0]).toMatchObject({ storage: 'default', key: expect.stringMatching(/^photos\//) })
    expect(files.cv?.[0]).toMatchObject({ storage: 'archive', key: expect.stringMatching(/^cvs\//) })
    expect([storages.default.objects.size, storages.archive.objects.size]).toEqual([1, 1])
  })

  it.each([
    ['is larger than its own field takes', { ...photo, content: 'too large' }, 'file-too-large'],
    ['comes in a field that is not named', { ...photo, name: 'other' }, 'unexpected-field'],
    ['comes in a field named like a method of objects', { ...photo, name: 'toString' }, 'unexpected-field'],
  ])('refuses a form in which a file %s, and leaves nothing in any storage', async (_how, wrong, code) => {
    const uploading = uploadFormFromRequest(request(cv, wrong), { into })
    await expect(uploading).rejects.toMatchObject({ code })
    expect([storages.default.objects.size, storages.archive.objects.size]).toEqual([0, 0])
  })

  it('names the fields in which files are expected', async () => {
    await expect(uploadFormFromRequest(request({ ...cv, name: 'x' }), { into })).rejects.toThrow(
      "a file came in field 'x'; it is expected in 'photo' or 'cv'",
    )
  })

  it('is narrowed by rules that are given besides, and the prefix from the query is that of all', async () => {
    const prefixQueryParam = { name: 'prefix', allow: ['a'] }
    const { files } = await uploadFormFromRequest(request(cv, photo), { into, prefixQueryParam })
    expect(files.photo?.[0]?.key).toMatch(/^photos\/a\//)
    expect(files.cv?.[0]?.key).toMatch(/^cvs\/a\//)
    await expect(uploadFormFromRequest(request(cv), { into, maxSizeBytes: 3 })).rejects.toMatchObject({
      code: 'file-too-large',
    })
  })

  it.each([
    ["beside 'field'", () => uploadFormFromRequest(request(), { into, field: 'cv' })],
    ['in a verb for one file', () => uploadFromRequest(request(), { into: into as never })],
    ['in a verb for a stream', () => uploadFromStream(Buffer.from('x'), { into: into as never })],
    [
      'with something else than a pair',
      () => uploadFormFromRequest(request(), { into: { cv: User } as never }),
    ],
  ])('is refused %s', async (_where, upload) => {
    await expect(upload()).rejects.toMatchObject({ code: 'invalid-option' })
  })
})
