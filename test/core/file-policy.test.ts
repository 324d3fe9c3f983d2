import { describe, expect, it } from 'vitest'
import {
  assertAccepted,
  assertNotTooLarge,
  assertNotTooSmall,
  checkAccept,
  type FilePolicy,
} from '../../src/core/file-policy.ts'
import { errorOf } from '../support/error-of.ts'

const file = { name: 'cv.pdf', contentType: 'application/pdf', field: 'application' }

function policy(rules: Partial<FilePolicy>): FilePolicy {
  return { maxSizeBytes: undefined, minSizeBytes: 0, accept: undefined, ...rules }
}

describe('accept', () => {
  it.each([
    [['application/pdf'], 'x', 'application/pdf'],
    [['APPLICATION/PDF'], 'x', 'application/pdf'],
    [['image/*'], 'x', 'image/svg+xml'],
    [['*/*'], 'x', 'application/octet-stream'],
    [['.pdf'], 'a.pdf', 'application/octet-stream'],
    [['.PDF'], 'a.pdf', 'application/octet-stream'],
    [['.pdf'], 'a.PDF', 'application/octet-stream'],
    [['image/*', '.csv'], 'a.csv', 'text/plain'],
  ])('%j lets %j of type %s in', (accept, name, contentType) => {
    expect(() => assertAccepted(policy({ accept }), { name, contentType })).not.toThrow()
  })

  it.each([
    [['application/pdf'], 'a.pdf', 'application/pdfx'],
    [['image/*'], 'a.png', 'imagex/png'],
    [['image/*'], 'a.png', 'x-image/png'],
    [['.pdf'], 'pdf', 'application/pdf'],
    [['.pdf'], 'a.pdf.exe', 'application/pdf'],
    [['.gz'], 'a.gzip', 'application/gzip'],
  ])('%j keeps %j of type %s out', (accept, name, contentType) => {
    const error = errorOf(() => assertAccepted(policy({ accept }), { name, contentType }))
    expect(error.code).toBe('type-not-accepted')
  })

  it('lets everything in when it is not given', () => {
    expect(() => assertAccepted(policy({}), file)).not.toThrow()
  })

  it('names the file, its field, its type and what is accepted', () => {
    expect(errorOf(() => assertAccepted(policy({ accept: ['image/*', '.csv'] }), file)).message).toBe(
      "file 'cv.pdf' in field 'application' is of type application/pdf; accepted: image/*, .csv",
    )
  })

  it.each([
    'image',
    'image/',
    '/png',
    '*',
    '*/png',
    'image/p*',
    'csv',
    '.',
    '.tar.gz',
    'image/png;q=1',
    ' .csv',
  ])('cannot be %j', (item) => {
    const error = errorOf(() => checkAccept('owner', ['image/png', item]))
    expect(error.code).toBe('invalid-option')
    expect(error.message).toContain(`not '${item}'`)
  })

  it('can be types, ranges of types and extensions', () => {
    const accept = ['image/png', 'image/*', '*/*', '.csv', 'application/vnd.ms-excel', 'image/svg+xml']
    expect(() => checkAccept('owner', accept)).not.toThrow()
    expect(() => checkAccept('owner', undefined)).not.toThrow()
  })
})

describe('maxSizeBytes', () => {
  it.each([0, 10, 1024])('of %i lets exactly that many bytes in, and not one more', (maxSizeBytes) => {
    expect(() => assertNotTooLarge(policy({ maxSizeBytes }), file, maxSizeBytes)).not.toThrow()
    const error = errorOf(() => assertNotTooLarge(policy({ maxSizeBytes }), file, maxSizeBytes + 1))
    expect(error.code).toBe('file-too-large')
  })

  it('names the file, its field and the limit', () => {
    const error = errorOf(() => assertNotTooLarge(policy({ maxSizeBytes: 1024 }), file, 1025))
    expect(error.message).toBe("file 'cv.pdf' in field 'application' is larger than the limit of 1 KiB")
    expect(error.context).toEqual({ field: 'application', name: 'cv.pdf', maxSizeBytes: 1024 })
  })

  it('is no limit when it is not given', () => {
    expect(() => assertNotTooLarge(policy({}), file, Number.MAX_SAFE_INTEGER)).not.toThrow()
  })
})

describe('minSizeBytes', () => {
  it('lets exactly that many bytes in, and not one fewer', () => {
    expect(() => assertNotTooSmall(policy({ minSizeBytes: 10 }), file, 10)).not.toThrow()
    expect(errorOf(() => assertNotTooSmall(policy({ minSizeBytes: 10 }), file, 9)).code).toBe(
      'file-too-small',
    )
  })

  it('names the file, its size and the limit, and no field where there is none', () => {
    const { message } = errorOf(() =>
      assertNotTooSmall(policy({ minSizeBytes: 1024 }), { name: 'a.txt', contentType: 'text/plain' }, 2),
    )
    expect(message).toBe("file 'a.txt' has 2 bytes; at least 1 KiB are wanted")
  })
})
