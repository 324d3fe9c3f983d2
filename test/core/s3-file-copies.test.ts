import { inspect } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import {
  type ClassConstructor,
  instanceToInstance,
  instanceToPlain,
  plainToInstance,
} from 'class-transformer'
import lodash from 'lodash'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { UnreadableS3File } from '../../src/core/unreadable-s3-file.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { errorOf } from '../support/error-of.ts'

const secrets = {
  key: 'tenant-7/secret-key/report.pdf',
  etag: 'secret-etag',
  checksum: 'crc32:secret-checksum',
  storage: 'secret-storage',
}
const shown = { name: 'Report.pdf', size: 5, contentType: 'application/pdf' }

class Document {
  id = 7
  file: S3File | null = new S3File({ ...shown, ...secrets, uploadedAt: '2026-11-22T09:30:05.000Z' })
  pages = [new S3File({ ...shown, ...secrets, key: 'tenant-7/secret-key/2' })]
  attachment = { none: null, file: new S3File({ ...shown, ...secrets, key: 'tenant-7/secret-key/3' }) }
}

/** As `JSON.stringify` shows it. */
const asJson = { id: 7, file: shown, pages: [shown], attachment: { none: null, file: shown } }

beforeEach(() => configureStorages({ 'secret-storage': new MemoryStorage() }))
afterEach(() => configureStorages({}))

describe.each<[string, (document: Document) => unknown]>([
  ['JSON.stringify', (document) => JSON.parse(JSON.stringify(document))],
  ['instanceToPlain of class-transformer', (document) => instanceToPlain(document)],
  [
    'instanceToPlain with enableCircularCheck and enableImplicitConversion',
    (document) => instanceToPlain(document, { enableCircularCheck: true, enableImplicitConversion: true }),
  ],
  ['structuredClone', (document) => structuredClone(document)],
  ['v8.serialize', (document) => deserialize(serialize(document))],
  [
    'spread',
    ({ id, file, pages, attachment }) => ({
      id,
      file: { ...file },
      pages: pages.map((page) => ({ ...page })),
      attachment: { ...attachment, file: Object.assign({}, attachment.file) },
    }),
  ],
  [
    'toPlainObject of lodash',
    ({ id, file, pages, attachment }) => ({
      id,
      file: lodash.toPlainObject(file),
      pages: pages.map((page) => lodash.toPlainObject(page)),
      attachment: { ...attachment, file: lodash.toPlainObject(attachment.file) },
    }),
  ],
  [
    'for … in',
    ({ id, file, pages, attachment }) => {
      const copy = (from: object | null) => {
        const properties: Record<string, unknown> = {}
        for (const name in from) properties[name] = (from as Record<string, unknown>)[name]
        return properties
      }
      return {
        id,
        file: copy(file),
        pages: pages.map(copy),
        attachment: { none: null, file: copy(attachment.file) },
      }
    },
  ],
])('%s', (_name, copy) => {
  it('shows of a file what toJSON() shows', () => {
    const copied = copy(new Document())
    expect(copied).toEqual(asJson)
    expect(inspect(copied, { depth: 10, showHidden: true, getters: true })).not.toMatch(/secret/)
  })

  it('shows of a file that cannot be read nothing of its row', () => {
    const document = new Document()
    const unreadable = new UnreadableS3File({ key: 'secret' }, 'Document.file', 'it is not JSON')
    Object.assign(document, { file: unreadable, pages: [unreadable] })
    const copied = copy(document)
    expect(JSON.stringify(copied)).toContain('"error":"invalid-record"')
    expect(inspect(copied, { depth: 10, showHidden: true, getters: true })).not.toMatch(/tenant-7|'secret'/)
  })
})

describe.each<[string, (document: Document) => Document]>([
  ['instanceToInstance of class-transformer', (document) => instanceToInstance(document)],
  ['plainToInstance of class-transformer', (document) => plainToInstance(Document, document)],
  [
    'plainToInstance of a plain object with files',
    (document) => plainToInstance(Document as ClassConstructor<Document>, { ...document }),
  ],
  ['cloneDeep of lodash', (document) => lodash.cloneDeep(document)],
  ['clone of lodash', (document) => lodash.clone(document)],
  ['merge of lodash', (document) => lodash.merge(new Document(), document)],
  [
    'merge of lodash into a plain object',
    (document) => lodash.merge({ file: { size: 1 } }, document) as Document,
  ],
  ['pick of lodash', (document) => lodash.pick(document, ['id', 'file', 'pages', 'attachment'])],
  ['omit of lodash', (document) => lodash.omit(document, ['other']) as Document],
  ['defaultsDeep of lodash', (document) => lodash.defaultsDeep({}, document)],
])('%s', (_name, copy) => {
  it('leaves the files of an entity as they are', async () => {
    const document = new Document()
    const copied = copy(document)
    expect(copied.id).toBe(7)
    expect(copied.file).toBe(document.file)
    expect(copied.pages[0]).toBe(document.pages[0])
    expect(copied.attachment.file).toBe(document.attachment.file)
    expect(copied.file?.toRecord()).toMatchObject(secrets)
    expect(await copied.file?.url()).toMatch(/^memory:/)
  })

  it('leaves a file that cannot be read as it is', () => {
    const document = new Document()
    const unreadable = new UnreadableS3File({ key: 'secret' }, 'Document.file', 'it is not JSON')
    document.file = unreadable
    expect(copy(document).file).toBe(unreadable)
  })
})

describe('a file', () => {
  it('is shown by util.inspect() with its name, at any depth, and with no more than JSON has', () => {
    const { file } = new Document()
    const text = "S3File { name: 'Report.pdf', size: 5, contentType: 'application/pdf' }"
    expect(inspect(file)).toBe(text)
    expect(inspect({ file }, { breakLength: 200 })).toBe(`{ file: ${text} }`)
    expect(inspect(file, { showHidden: true, getters: true })).toBe(text)
    expect(inspect({ a: { b: { c: { file } } } })).not.toContain('secret')
  })

  it('is strictly equal to itself, and of its class', () => {
    const { file } = new Document()
    expect(file).toStrictEqual(file)
    expect(file).toBeInstanceOf(S3File)
    expect(file).toBeInstanceOf(file?.constructor)
    expect(file?.constructor.name).toBe('S3File')
    expect(S3File.prototype.constructor).toBe(S3File)
  })

  it('is never the equal of another object by what lodash compares', () => {
    const [file, other] = [new Document().file, new Document().attachment.file]
    expect(lodash.isEqual(file, file)).toBe(true)
    expect(lodash.isEqual(file, other)).toBe(false)
  })

  it('has its key and the rest as properties, though no copy of its properties does', () => {
    const { file } = new Document()
    expect(file).toMatchObject({ ...shown, ...secrets, uploadedAt: new Date('2026-11-22T09:30:05.000Z') })
    expect(Object.keys(file as S3File)).toEqual(['name', 'size', 'contentType'])
    expect(Reflect.ownKeys(file as S3File)).toEqual(['name', 'size', 'contentType'])
  })

  it('a copy made without its constructor says what to do instead', () => {
    const copy: S3File = Object.create(S3File.prototype)
    expect(errorOf(() => copy.key)).toMatchObject({
      code: 'invalid-value',
      message:
        'this is a copy of an S3File, which does not know its object: a file never changes, so use the file itself',
    })
    expect(errorOf(() => copy.toRecord())).toMatchObject({ code: 'invalid-value' })
  })
})
