import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import {
  JsonFilesTransformer,
  JsonFileTransformer,
  KeyFileTransformer,
} from '../../src/orm/file-transformer.ts'
import { anyField } from '../support/any-field.ts'
import { errorOf } from '../support/error-of.ts'

const field = { ...anyField, label: 'Document.file' } as const
const list = { ...field, label: 'Document.files', isMultiple: true }

const file = new S3File({ key: 'a/report.pdf', name: 'Report.pdf', size: 5 })
const multer = {
  fieldname: 'file',
  originalname: 'report.pdf',
  encoding: '7bit',
  mimetype: 'application/pdf',
  size: 5,
}

/** What a program assigned by mistake. */
const mistakes: [string, unknown, string][] = [
  ['a Promise', Promise.resolve(file), 'a Promise: await the upload, and assign what it resolves to'],
  [
    'a Buffer',
    Buffer.from('hello'),
    'bytes (Buffer): upload them with uploadFromStream(), and assign what it returns',
  ],
  ['an ArrayBuffer', new ArrayBuffer(5), 'bytes (ArrayBuffer): upload them'],
  ['a Blob', new Blob(['a']), 'bytes (Blob): upload them'],
  ['a stream', Readable.from(['a']), 'a stream (Readable): upload it with uploadFromStream()'],
  ['a web stream', new Blob(['a']).stream(), 'a stream (ReadableStream): upload it with uploadFromStream()'],
  [
    "Multer's file in memory",
    { ...multer, buffer: Buffer.from('hello') },
    "a file of Multer ('report.pdf'): take Multer off this route, and assign what uploadFromRequest(req) returns",
  ],
  ['a Date', new Date('2026-11-22T09:30:05Z'), 'an object of class Date: assign what an upload returns'],
  ['an object of a class', new URL('file:///a'), 'an object of class URL: assign what an upload returns'],
  ['a function', () => file, 'a function: assign what an upload returns'],
  ['a bigint', 7n, '7 (bigint): assign what an upload returns'],
]

/** What JSON of a client may be. */
const fromJson: [string, unknown, string][] = [
  ['a text', 'tenant-8/secret.pdf', "the text 'tenant-8/secret.pdf': assign what an upload returns"],
  ['a long text', 'x'.repeat(500), `the text '${'x'.repeat(100)}…'`],
  ['a number', 42, '42 (number): assign what an upload returns'],
  ['true', true, 'true (boolean): assign what an upload returns'],
  [
    "a file's JSON",
    JSON.parse(JSON.stringify(file)),
    "the JSON of a file ('Report.pdf'): to keep the file leave the property out, to replace it assign what an upload returns, to clear it assign null",
  ],
  [
    'a record',
    file.toRecord(),
    'a plain object with a key: assign what an upload returns; new S3File(record) names an object that is there already',
  ],
  ['an object', {}, 'a plain object: assign what an upload returns'],
  [
    "Multer's file on a disk",
    { ...multer, path: '/tmp/x' },
    "a file of Multer ('report.pdf'): take Multer off",
  ],
]

// With layout 'key', a text is a key to look for.
const objects = fromJson.filter(([, value]) => typeof value !== 'string')

describe.each<[string, { to(value: unknown): unknown }, typeof fromJson]>([
  ['json', new JsonFileTransformer(field, false), fromJson],
  ['json in a text column', new JsonFileTransformer(field, true), fromJson],
  ['key', new KeyFileTransformer({ ...field, layout: 'key' }, true), objects],
])('a field with layout %s', (_layout, transformer, refused) => {
  it.each(mistakes)('says what came in place of a file, and what to do: %s', (_, value, told) => {
    expect(errorOf(() => transformer.to(value))).toMatchObject({
      code: 'invalid-value',
      statusCode: 500,
      message: expect.stringContaining(`Document.file takes an S3File or null, not ${told}`),
      context: { field: 'Document.file' },
    })
  })

  it.each(refused)('answers a client whose JSON came in place of a file with 400: %s', (_, value, told) => {
    expect(errorOf(() => transformer.to(value))).toMatchObject({
      code: 'not-a-file',
      statusCode: 400,
      message: expect.stringContaining(`Document.file takes an S3File or null, not ${told}`),
      context: { field: 'Document.file' },
    })
  })

  it('answers the JSON of withUrls() as that of a file', async () => {
    const sentBack = JSON.parse(JSON.stringify(await withUrls(file)))
    expect(errorOf(() => transformer.to(sentBack))).toMatchObject({
      code: 'not-a-file',
      message: expect.stringContaining("the JSON of a file ('Report.pdf')"),
    })
  })

  it.each([
    [
      'files',
      [file, file],
      'invalid-value',
      'a list of 2: assign one file, or declare the field with multiple: true',
    ],
    ['JSON', [{ name: 'a' }], 'not-a-file', 'a list of 1'],
  ])('says of a list of %s that the field takes one file', (_, value, code, told) => {
    expect(errorOf(() => transformer.to(value))).toMatchObject({
      code,
      message: expect.stringContaining(told),
    })
  })
})

describe('a field that takes a list', () => {
  const transformer = new JsonFilesTransformer(list, false)

  it('says that one file belongs into a list', () => {
    expect(errorOf(() => transformer.to(file))).toMatchObject({
      code: 'invalid-value',
      message: 'Document.files takes a list of S3Files, not one file: put it into a list',
    })
  })

  it.each([...mistakes, ...fromJson])(
    'says which item of the list is no file, and what came: %s',
    (_, value, told) => {
      const isJson = fromJson.some(([, json]) => json === value)
      expect(errorOf(() => transformer.to([file, value]))).toMatchObject({
        code: isJson ? 'not-a-file' : 'invalid-value',
        message: expect.stringContaining(`Document.files[1] takes an S3File, not ${told}`),
      })
    },
  )

  it.each([null, undefined])('takes no %s as an item', (item) => {
    expect(errorOf(() => transformer.to([item]))).toMatchObject({
      message: expect.stringContaining(
        `Document.files[0] takes an S3File, not ${item}: leave it out of the list`,
      ),
    })
  })

  it("answers a client's JSON with 400", () => {
    const sentBack = JSON.parse(JSON.stringify([file]))
    expect(errorOf(() => transformer.to(sentBack))).toMatchObject({ code: 'not-a-file', statusCode: 400 })
    expect(errorOf(() => transformer.to('a'))).toMatchObject({ code: 'not-a-file', statusCode: 400 })
  })
})
