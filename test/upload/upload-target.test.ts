import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FileRules, registerField } from '../../src/core/file-field.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { resolveTarget } from '../../src/upload/upload-target.ts'
import { anyField } from '../support/any-field.ts'

class Document {
  declare file: S3File | null
  declare scan: S3File
}
registerField(Document, 'file', {
  ...anyField,
  label: 'Document.file',
  rules: {
    storage: 'archive',
    keyPrefix: 'documents',
    key: 'timestamped',
    maxSizeBytes: 100,
    minSizeBytes: 1,
    accept: ['image/*'],
    objectParams: { CacheControl: 'no-store' },
  },
})

const about = { key: 'k', name: 'a b.txt', contentType: 'text/plain' }

let main: MemoryStorage
let archive: MemoryStorage
beforeEach(() => {
  main = new MemoryStorage({ keyPrefix: 'main' })
  archive = new MemoryStorage({ keyPrefix: 'archive/2026' })
  configureStorages({ default: main, archive })
})
afterEach(() => configureStorages({}))

describe('the target of an upload', () => {
  it('is the default storage without any rule', () => {
    expect(resolveTarget('upload', {})).toMatchObject({
      storage: main,
      storageName: 'default',
      keyPrefix: 'main/',
      key: 'unique',
      policies: [{ maxSizeBytes: undefined, minSizeBytes: 0, accept: undefined }],
      inspectors: [],
    })
  })

  it("is what the call says, below the storage's prefix", () => {
    const key = () => 'k'
    expect(resolveTarget('upload', { storage: 'archive', keyPrefix: 'a/b', key })).toMatchObject({
      storage: archive,
      storageName: 'archive',
      keyPrefix: 'archive/2026/a/b/',
      key,
    })
  })

  it("is the field's, with all its rules, when it is given as into", () => {
    expect(resolveTarget('upload', { into: [Document, 'file'] })).toMatchObject({
      storage: archive,
      storageName: 'archive',
      keyPrefix: 'archive/2026/documents/',
      key: 'timestamped',
      policies: [
        { maxSizeBytes: 100, minSizeBytes: 1, accept: ['image/*'] },
        { maxSizeBytes: undefined, minSizeBytes: 0, accept: undefined },
      ],
    })
  })

  it("narrows the field's rules by those of the call: both must be kept", () => {
    const { policies } = resolveTarget('upload', {
      into: [Document, 'file'],
      maxSizeBytes: 1000,
      minSizeBytes: 0,
      accept: ['*/*'],
    })
    expect(policies).toEqual([
      { maxSizeBytes: 100, minSizeBytes: 1, accept: ['image/*'] },
      { maxSizeBytes: 1000, minSizeBytes: 0, accept: ['*/*'] },
    ])
  })

  it.each<FileRules>([
    { storage: 'default' },
    { keyPrefix: 'elsewhere' },
    { key: 'unique' },
    { objectParams: { ACL: 'public-read' } },
  ])('refuses %j beside into', (rules) => {
    expect(() => resolveTarget('upload', { into: [Document, 'file'], ...rules })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: `upload: option '${Object.keys(rules)[0]}' comes from the field given as 'into'`,
      }),
    )
  })

  it('refuses a property that is no file field, and a storage that is not configured', () => {
    expect(() => resolveTarget('upload', { into: [Document, 'scan'] })).toThrow(
      "Document has no file field 'scan'",
    )
    configureStorages({ default: main })
    expect(() => resolveTarget('upload', { into: [Document, 'file'] })).toThrow("no storage 'archive'")
  })

  it.each([{ keyPrefix: '..' }, { accept: ['image'] }, { minSizeBytes: 2, maxSizeBytes: 1 }])(
    'refuses %j, which cannot be kept',
    (rules) => {
      expect(() => resolveTarget('upload', rules)).toThrow(
        expect.objectContaining({ code: 'invalid-option' }),
      )
    },
  )
})

describe('a field whose column is too short for its keys', () => {
  class Short {
    declare file: S3File
  }
  registerField(Short, 'file', {
    ...anyField,
    label: 'Short.file',
    layout: 'key',
    maxKeyLength: 40,
  })

  it("is told from the storage's prefix, before anything is read, with the least length that will do", () => {
    configureStorages({ default: new MemoryStorage({ keyPrefix: 'files' }) })
    expect(() => resolveTarget('upload', { into: [Short, 'file'] })).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        message: expect.stringContaining(
          "upload into Short.file: the column has room for 40 characters, and a key below 'files/' needs 41",
        ),
      }),
    )
    configureStorages({ default: new MemoryStorage({ keyPrefix: 'file' }) })
    expect(resolveTarget('upload', { into: [Short, 'file'] }).maxKeyLength).toBe(40)
  })
})

describe('the object parameters', () => {
  it('make a download of every object that nobody says otherwise about', async () => {
    expect(await resolveTarget('upload', {}).paramsOf(about)).toEqual({
      ContentDisposition: 'attachment; filename="a b.txt"',
    })
  })

  it("are the storage's with the field's over them", async () => {
    const storage = new MemoryStorage({
      objectParams: ({ name }) => ({
        Metadata: { name },
        CacheControl: 'public',
        ContentDisposition: 'inline',
      }),
    })
    configureStorages({ archive: storage })
    expect(await resolveTarget('upload', { into: [Document, 'file'] }).paramsOf(about)).toEqual({
      Metadata: { name: 'a b.txt' },
      CacheControl: 'no-store',
      ContentDisposition: 'inline',
    })
  })

  it.each([
    ['image/png', undefined, 'inline; filename="a b.txt"'],
    ['application/pdf', undefined, 'attachment; filename="a b.txt"'],
    ['image/png', 'attachment', 'attachment'],
    ['application/pdf', 'inline', 'inline'],
    ['text/html', 'Attachment; filename="x"', 'Attachment; filename="x"'],
    ['text/html', 'inline', 'attachment; filename="a b.txt"'],
    ['image/svg+xml', ' INLINE ; filename="x"', 'attachment; filename="a b.txt"'],
    ['image/svg+xml', 'attachments', 'attachment; filename="a b.txt"'],
    ['application/xml', '', 'attachment; filename="a b.txt"'],
  ])('let %s be shown where it is harmless, also when they say %j', async (contentType, said, stored) => {
    const objectParams = said === undefined ? {} : { ContentDisposition: said }
    const { paramsOf } = resolveTarget('upload', { objectParams })
    expect((await paramsOf({ ...about, contentType })).ContentDisposition).toBe(stored)
  })

  it("let be shown what is on the storage's list", async () => {
    configureStorages({ default: Object.assign(new MemoryStorage(), { inlineTypes: ['application/pdf'] }) })
    const { paramsOf } = resolveTarget('upload', {})
    const dispositions = ['application/pdf', 'image/png'].map(async (contentType) => {
      return (await paramsOf({ ...about, contentType })).ContentDisposition?.split(';')[0]
    })
    expect(await Promise.all(dispositions)).toEqual(['inline', 'attachment'])
  })

  it.each([
    ['at once', ({ key }: { key: string }) => ({ Tagging: { key } })],
    ['later', async ({ key }: { key: string }) => ({ Tagging: { key } })],
  ])('can be said by a function of the file, %s', async (_, objectParams) => {
    const { paramsOf } = resolveTarget('upload', { objectParams })
    expect(await paramsOf(about)).toMatchObject({ Tagging: { key: 'k' } })
  })

  it.each([
    [{ Key: 'elsewhere' }, 'unknown-option', "there is no option 'Key'"],
    [{ ContentType: 'text/html' }, 'unknown-option', "there is no option 'ContentType'"],
    [{ StorageClas: 'GLACIER' }, 'unknown-option', "did you mean 'StorageClass'?"],
    [
      { Metadata: { author: 'Jürgen' } },
      'invalid-option',
      "'author' of 'Metadata' takes a text of printable",
    ],
    [undefined, 'invalid-option', 'options are an object, not undefined'],
  ])('that a function gives are checked as well: %j', async (params, code, message) => {
    const objectParams = () => params as never
    const fail = (owner: string) => ({
      name: 'ConfigurationError',
      code,
      message: expect.stringMatching(new RegExp(`^objectParams of ${owner}: .*`)),
    })
    const ofCall = resolveTarget('upload', { objectParams }).paramsOf(about)
    await expect(ofCall).rejects.toMatchObject(fail('upload'))
    await expect(ofCall).rejects.toThrow(message)
    configureStorages({ default: new MemoryStorage({ objectParams }) })
    const ofStorage = resolveTarget('upload', {}).paramsOf(about)
    await expect(ofStorage).rejects.toMatchObject(fail("storage 'default'"))
  })

  it("of a storage of somebody else's are checked, too", async () => {
    const storage = Object.assign(new MemoryStorage(), { objectParams: { Bucket: 'other' } as never })
    configureStorages({ default: storage })
    await expect(resolveTarget('upload', {}).paramsOf(about)).rejects.toThrow("there is no option 'Bucket'")
  })
})
