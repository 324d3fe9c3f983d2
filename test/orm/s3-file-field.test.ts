import { type ColumnOptions, getMetadataArgsStorage, type ValueTransformer } from 'typeorm'
import { describe, expect, it, vi } from 'vitest'
import { findField } from '../../src/core/file-field.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { S3FileField, type S3FileFieldOptions, s3FileColumn } from '../../src/orm/s3-file-field.ts'

/** A class that has such a field, as a decorated one would. */
function entityWith(options?: S3FileFieldOptions): new () => object {
  class Entity {}
  S3FileField(options)(Entity.prototype, 'file')
  return Entity
}

function columnOf(entity: object): ColumnOptions {
  const column = getMetadataArgsStorage().columns.find(({ target }) => target === entity)
  return (column as { options: ColumnOptions }).options
}

describe('@S3FileField()', () => {
  it('makes the field known under its class and property, with its rules and no others', () => {
    const rules = { keyPrefix: 'documents', maxSizeBytes: 100, accept: ['image/*'] }
    const Entity = entityWith({ ...rules, nullable: true, column: { name: 'file_json' } })
    expect(findField(Entity as never, 'file')).toEqual({
      label: 'Entity.file',
      layout: 'json',
      isMultiple: false,
      onReplace: 'delete',
      onRemove: 'delete',
      checksOnSave: true,
      rules,
    })
  })

  it.each<[string, S3FileFieldOptions | undefined, ColumnOptions]>([
    ['of JSON that may not be null', undefined, { type: 'json', nullable: false }],
    ['that may be null', { nullable: true }, { type: 'json', nullable: true }],
    ['that is not selected', { select: false }, { select: false }],
    ['of a type and name of its own', { column: { type: 'jsonb', name: 'f' } }, { type: 'jsonb', name: 'f' }],
    ['of a key', { layout: 'key' }, { type: 'varchar', length: 1024, nullable: false }],
    ['of a shorter key', { layout: 'key', column: { length: 100 } }, { type: 'varchar', length: 100 }],
  ])('makes a column %s', (_what, options, column) => {
    expect(columnOf(entityWith(options))).toMatchObject(column)
  })

  it('makes a column for each part of the record, of which the key alone may be required', () => {
    const Entity = entityWith({ layout: 'columns', column: { name: 'file' } })
    const embedded = getMetadataArgsStorage().embeddeds.find(({ target }) => target === Entity)
    expect(embedded).toMatchObject({ propertyName: 'file', prefix: 'file' })
    const columns = getMetadataArgsStorage().columns.filter(({ target }) => target === embedded?.type())
    expect(columns.map(({ propertyName, options }) => [propertyName, options.nullable])).toEqual([
      ['name', true],
      ['size', true],
      ['contentType', true],
      ['etag', true],
      ['checksum', true],
      ['uploadedAt', true],
      ['storage', true],
      ['key', false],
    ])
  })

  it.each([
    [{ prefix: 'a' }, "@S3FileField() Entity.file: there is no option 'prefix'; did you mean 'keyPrefix'?"],
    [{ layout: 'xml' }, "option 'layout' takes 'json' or 'columns' or 'key', not 'xml'"],
    [{ key: 'random' }, "option 'key' takes 'unique' or 'timestamped' or a function, not 'random'"],
    [{ maxSizeBytes: '5 MB' }, "option 'maxSizeBytes' takes an integer of at least 0, not '5 MB'"],
    [{ accept: ['pdf'] }, "not 'pdf'"],
    [{ keyPrefix: '/a' }, "'/a' cannot be a key prefix: it starts with a slash"],
    [{ nullable: 1 }, "option 'nullable' takes true or false, not 1"],
    [{ objectParams: { Key: 'a' } }, "@S3FileField() Entity.file objectParams: there is no option 'Key'"],
    [
      { layout: 'key', keyPrefix: 'cv', column: { length: 37 } },
      "the column has room for 37 characters, and a key below 'cv/' needs 38: raise 'length' of 'column'",
    ],
    [
      { layout: 'columns', key: 'timestamped', column: { length: '40' } },
      'the column has room for 40 characters, and a key needs 50',
    ],
    [
      { layout: 'key', column: { length: 'MAX' } },
      "'length' of 'column' takes a number of characters, not 'MAX'",
    ],
  ])('refuses %j when the class is defined', (options, message) => {
    expect(() => entityWith(options as S3FileFieldOptions)).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', message: expect.stringContaining(message) }),
    )
  })
})

describe('a field with a column for its keys', () => {
  it.each<[S3FileFieldOptions, number | undefined]>([
    [{ layout: 'key' }, 1024],
    [{ layout: 'columns' }, 1024],
    [{ layout: 'key', column: { length: 100 } }, 100],
    [{ layout: 'columns', column: { length: '100' } }, 100],
    [{ layout: 'json', column: { type: 'varchar', length: 2000 } }, undefined],
  ])('knows how long they may be: %j', (options, maxKeyLength) => {
    expect(findField(entityWith(options) as never, 'file').maxKeyLength).toBe(maxKeyLength)
  })

  it('never writes one that is longer, whoever made it', () => {
    const transformer = transformerOf({ layout: 'key', column: { length: 100 } })
    const key = '報'.repeat(100)
    expect(transformer.to(new S3File({ key }))).toBe(key)
    expect(() => transformer.to(new S3File({ key: `${key}x` }))).toThrow(
      expect.objectContaining({
        code: 'invalid-value',
        message: expect.stringContaining("Entity.file: the column of 'key' has room for 100 characters"),
      }),
    )
    // Criteria are compared, not stored.
    expect(transformer.to('x'.repeat(101))).toBe('x'.repeat(101))
  })
})

describe('s3FileColumn()', () => {
  it('makes column options whose field is found by the schema', () => {
    const column = s3FileColumn({ keyPrefix: 'documents', nullable: true })
    expect(column).toMatchObject({ type: 'json', nullable: true })
    const schema = { options: { columns: { file: column } } }
    expect(findField(schema as never, 'file').rules).toEqual({ keyPrefix: 'documents' })
  })

  it('is one column, so it refuses the layout of many', () => {
    expect(() => s3FileColumn({ layout: 'columns' })).toThrow('takes an entity class with @S3FileField()')
  })
})

interface Transformer {
  to(value: unknown): unknown
  from(raw: unknown): unknown
}

function transformerOf(options: S3FileFieldOptions): Transformer {
  return columnOf(entityWith(options)).transformer as Transformer
}

const file = new S3File({ key: 'a/b.pdf', name: 'B.pdf', size: 5, uploadedAt: '2026-11-22T09:30:05.000Z' })

describe.each<[string, S3FileFieldOptions, unknown, object]>([
  ['json', { nullable: true }, file.toRecord(), file.toRecord()],
  [
    'json in a text',
    { nullable: true, column: { type: 'text' } },
    JSON.stringify(file.toRecord()),
    file.toRecord(),
  ],
  ['key', { layout: 'key', nullable: true }, 'a/b.pdf', { key: 'a/b.pdf', name: 'b.pdf', size: null }],
])('a column with layout %s', (_layout, options, raw, record) => {
  const transformer = transformerOf(options)

  it('writes and reads a file', () => {
    expect(transformer.to(file)).toEqual(raw)
    expect((transformer.from(raw) as S3File).toRecord()).toMatchObject(record)
  })

  it('writes no file as null, and leaves what is undefined alone', () => {
    expect(transformer.to(null)).toBeNull()
    expect(transformer.to(undefined)).toBeUndefined()
  })

  it.each([null, undefined, ''])('reads %j as no file', (empty) => {
    expect(transformer.from(empty)).toBeNull()
  })
})

describe('a column that holds no file record', () => {
  it.each([
    ['{"key":""}', "its 'key' is not an S3 key"],
    ['{"key":7}', "its 'key' is not an S3 key"],
    ['null', 'it is not an object'],
    ['not JSON', 'it is not JSON'],
    [{ name: 'x' }, "its 'key' is not an S3 key"],
    [{ key: 'a', name: 'x', size: '5' }, "its 'size' is not a number of bytes"],
  ])('such as %j does not fail the read, and is written back as it was', (raw, reason) => {
    const transformer = transformerOf({ nullable: true })
    const unreadable = transformer.from(raw) as S3File
    expect(() => unreadable.key).toThrow(reason)
    expect(transformer.to(unreadable)).toBe(raw)
  })

  it('is written back as it was also when another copy of the package has read it', async () => {
    vi.resetModules()
    const copy = await import('../../src/core/unreadable-s3-file.ts')
    const theirs = new copy.UnreadableS3File('not JSON', 'Entity.file', 'it is not JSON')
    expect(transformerOf({ nullable: true }).to(theirs)).toBe('not JSON')
  })
})

it("writes '' for no file in a key column that may not be null, as Django does", () => {
  expect(transformerOf({ layout: 'key' }).to(null)).toBe('')
})

it('reads a key into the storage of its field', () => {
  const read = transformerOf({ layout: 'key', storage: 'archive' }).from('a') as S3File
  expect(read.storage).toBe('archive')
})

it('takes a text as a key to look for in a key column', () => {
  expect(transformerOf({ layout: 'key' }).to('invoices/%')).toBe('invoices/%')
})

describe('the column', () => {
  const file = new S3File({ key: 'a' })

  it.each(['text', 'tinytext', 'nvarchar', 'character', 'varchar', 'citext', String])(
    'of type %s holds text',
    (type) => {
      const { transformer } = s3FileColumn({ column: { type: type as 'text' } })
      expect((transformer as ValueTransformer).to(file)).toBeTypeOf('string')
    },
  )

  it.each(['json', 'jsonb', 'simple-json'] as const)('of type %s holds an object', (type) => {
    const { transformer } = s3FileColumn({ column: { type } })
    expect((transformer as ValueTransformer).to(file)).toBeTypeOf('object')
  })

  it.each([
    { column: { nullable: true } },
    { column: { select: false } },
    { column: { transformer: { to: String, from: String } } },
    { column: { type: 'jsonb' as const }, layout: 'key' as const },
  ])('cannot say what is settled elsewhere: %j', (options) => {
    expect(() => s3FileColumn(options)).toThrow(/is settled by/)
  })
})
