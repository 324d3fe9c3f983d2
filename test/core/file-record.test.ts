import { describe, expect, it } from 'vitest'
import { parseFileRecord, recordProperties } from '../../src/core/file-record.ts'

const record = {
  key: 'documents/abc/report.pdf',
  name: 'report.pdf',
  size: 12,
  contentType: 'application/pdf',
  etag: 'abc',
  checksum: 'crc32:AAAAAA==',
  uploadedAt: '2026-11-22T09:30:05.000Z',
  storage: 'default',
}

describe('parseFileRecord', () => {
  it('reads a whole record, each property in its place', () => {
    expect(parseFileRecord(record)).toEqual(record)
    expect(Object.keys(parseFileRecord(record))).toEqual([...recordProperties])
  })

  it('leaves out what it does not know', () => {
    expect(parseFileRecord({ ...record, bucket: 'private', version: 2 })).toEqual(record)
  })

  it('reads what may be absent as null', () => {
    expect(parseFileRecord({ key: 'a', name: 'a', storage: 's' })).toEqual({
      key: 'a',
      name: 'a',
      size: null,
      contentType: null,
      etag: null,
      checksum: null,
      uploadedAt: null,
      storage: 's',
    })
  })

  it('takes an empty file', () => {
    expect(parseFileRecord({ ...record, size: 0 })).toMatchObject({ size: 0 })
  })

  it.each([undefined, null, 'a', 7, []])('says of %j that it is not an object', (value) => {
    expect(parseFileRecord(value)).toBe('it is not an object')
  })

  it.each([
    [{ key: undefined }, "its 'key' is not an S3 key"],
    [{ key: 7 }, "its 'key' is not an S3 key"],
    [{ key: '' }, "its 'key' is not an S3 key"],
    [{ key: 'a'.repeat(1025) }, "its 'key' is not an S3 key"],
    [{ name: undefined }, "its 'name' is missing"],
    [{ name: '' }, "its 'name' is missing"],
    [{ name: 7 }, "its 'name' is missing"],
    [{ storage: undefined }, "its 'storage' is missing"],
    [{ storage: '' }, "its 'storage' is missing"],
    [{ size: '12' }, "its 'size' is not a number of bytes"],
    [{ size: -1 }, "its 'size' is not a number of bytes"],
    [{ size: 1.5 }, "its 'size' is not a number of bytes"],
    [{ size: Number.NaN }, "its 'size' is not a number of bytes"],
    [{ size: 2 ** 53 }, "its 'size' is not a number of bytes"],
    [{ contentType: 7 }, "its 'contentType' is not a text"],
    [{ etag: {} }, "its 'etag' is not a text"],
    [{ checksum: true }, "its 'checksum' is not a text"],
    [{ uploadedAt: 7 }, "its 'uploadedAt' is not a text"],
    [{ uploadedAt: 'yesterday' }, "its 'uploadedAt' is not a date"],
  ])('says of a record with %j: %s', (change, problem) => {
    expect(parseFileRecord({ ...record, ...change })).toBe(problem)
  })
})
