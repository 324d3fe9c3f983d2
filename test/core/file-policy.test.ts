import { describe, expect, it } from 'vitest'
import {
  assertAccepted,
  assertNotTooLarge,
  assertNotTooSmall,
  checkAccept,
  type FilePolicy,
} from '../../src/core/file-policy.ts'
import { errorOf } from '../support/error-of.ts'

const file = { name: 'cv.pdf', field: 'application' }

function policy(rules: Partial<FilePolicy>): FilePolicy {
  return { maxSizeBytes: undefined, minSizeBytes: 0, accept: undefined, ...rules }
}

describe('accept', () => {
  /** A file of that name and content; text may be of several types, and is what it claims to be. */
  function sniffed(name: string, contentType: string, declaredType = contentType, sniffedType = contentType) {
    return { name, field: 'scan', declaredType, sniffedType, contentType }
  }

  it.each([
    [['application/pdf'], 'x', 'application/pdf'],
    [['APPLICATION/PDF'], 'x', 'application/pdf'],
    [['application/x-pdf'], 'x.pdf', 'application/pdf'],
    [['image/jpg'], 'x.jpg', 'image/jpeg'],
    [['image/*'], 'x.svg', 'image/svg+xml'],
    [['image/*'], 'x', 'image/svg+xml'],
    [['image/png'], 'named-by-habit.jpg', 'image/png'],
    [['audio/*'], 'song.mp4', 'audio/mp4'],
    [['.pdf'], 'a.pdf', 'application/pdf'],
    [['.PDF'], 'a.PDF', 'application/pdf'],
    [['image/*', '.csv'], 'a.csv', 'text/csv'],
    [['.csv'], 'a.csv', 'text/plain'],
    [['.js'], 'a.js', 'text/plain'],
    [['.html'], 'a.html', 'text/html'],
    [['.jpg'], 'really-webp.jpg', 'image/webp'],
    [['.dwg'], 'a.dwg', 'application/octet-stream'],
    [['.drawio'], 'a.drawio', 'application/xml'],
    [['*/*'], 'a.png', 'text/html'],
    [['application/octet-stream'], 'a.bin', 'application/octet-stream'],
    [['text/*'], 'a.html', 'text/plain'],
    [['text/plain'], 'a.js', 'text/plain'],
    [['.bat'], 'a.bat.', 'text/plain'],
    [['.htaccess'], '.htaccess', 'text/plain'],
    [['image/*'], '.png', 'image/png'],
    [['image/*'], 'Dr. Smith', 'image/png'],
  ])('%j lets %j of type %s in', (accept, name, contentType) => {
    expect(() => assertAccepted(policy({ accept }), sniffed(name, contentType))).not.toThrow()
  })

  it.each([
    [['application/pdf'], 'a.pdf', 'application/octet-stream'],
    [['image/*'], 'a.png', 'application/octet-stream'],
    [['image/*'], 'a.png', 'text/html'],
    [['image/*'], 'a.png', 'image/svg+xml'],
    [['image/*', 'text/html'], 'a.png', 'text/html'],
    [['image/*'], 'a.html', 'image/gif'],
    [['image/*'], 'a.exe', 'image/png'],
    [['text/*'], 'a.csv', 'text/html'],
    [['.pdf'], 'pdf', 'application/pdf'],
    [['.pdf'], 'a.pdf.exe', 'application/pdf'],
    [['.gz'], 'a.gzip', 'application/gzip'],
    [['.csv'], 'a.csv', 'text/html'],
    [['.csv'], 'a.csv', 'application/vnd.microsoft.portable-executable'],
    [['.csv'], 'a.csv', 'application/octet-stream'],
    [['.csv'], 'a.csv', 'text/x-shellscript'],
    [['.docx'], 'a.docx', 'application/zip'],
    [['.png'], 'a.png', 'application/pdf'],
    [['.dwg'], 'a.dwg', 'text/html'],
    [['.dwg'], 'a.dwg', 'application/x-elf'],
    [['image/png'], 'a.jpg', 'image/jpeg'],
    [['image/*'], 'a.exe.', 'image/png'],
    [['image/*'], 'a.exe \u200b', 'image/png'],
    [['image/*'], 'a.e\u200dxe', 'image/png'],
    [['image/*'], 'a. exe', 'image/png'],
    [['image/*'], '.exe', 'image/png'],
    [['image/*'], '.htaccess', 'image/png'],
    [['text/plain'], '.htaccess', 'text/plain'],
    [['text/plain'], 'a.html', 'text/plain'],
    [['.txt', 'text/csv'], 'a.bat', 'text/csv'],
  ])('%j keeps %j of type %s out', (accept, name, contentType) => {
    const error = errorOf(() => assertAccepted(policy({ accept }), sniffed(name, contentType, 'image/png')))
    expect([error.code, error.statusCode]).toEqual(['type-not-accepted', 415])
  })

  it.each('bat cmd hta vbs ps1 com pif url mht asp jsp php5 phar scf'.split(' '))(
    'lets a file called .%s in only where that is accepted, as an image or as text',
    (extension) => {
      const name = `a.${extension}`
      for (const [item, type] of [
        ['image/*', 'image/png'],
        ['text/*', 'text/plain'],
        ['text/plain', 'text/plain'],
      ] as const) {
        const error = errorOf(() => assertAccepted(policy({ accept: [item] }), sniffed(name, type)))
        expect(error.code).toBe('type-not-accepted')
      }
      const type =
        extension === 'com' || extension === 'pif'
          ? 'application/vnd.microsoft.portable-executable'
          : 'text/plain'
      expect(() => assertAccepted(policy({ accept: [`.${extension}`] }), sniffed(name, type))).not.toThrow()
    },
  )

  it('believes a claim only of a type that no bytes tell, and of bytes that are no other type', () => {
    const accept = ['application/vnd.dwg', 'application/pdf']
    const claim = (declared: string, content: string) => () =>
      assertAccepted(policy({ accept }), sniffed('a.dwg', content, declared))
    expect(claim('application/vnd.dwg', 'application/octet-stream')).not.toThrow()
    for (const [declared, content] of [
      ['application/vnd.dwg', 'text/html'],
      ['application/vnd.dwg', 'text/plain'],
      ['application/x-dwg', 'application/octet-stream'],
      ['application/pdf', 'application/octet-stream'],
    ] as const) {
      expect(errorOf(claim(declared, content)).code).toBe('type-not-accepted')
    }
  })

  it('lets everything in when it is not given', () => {
    expect(() => assertAccepted(policy({}), sniffed('a.png', 'text/html'))).not.toThrow()
  })

  it('names the file, its field, what it is, claims and is called, and what is accepted', () => {
    const page = sniffed('cv.pdf', 'text/html', 'application/pdf')
    const error = errorOf(() => assertAccepted(policy({ accept: ['image/*', '.pdf'] }), page))
    expect(error.message).toBe(
      "file 'cv.pdf' in field 'scan' is of type text/html, declared as application/pdf, and its extension is .pdf; " +
        'accepted: image/*, .pdf',
    )
    expect(error.context).toEqual({
      field: 'scan',
      name: 'cv.pdf',
      declaredType: 'application/pdf',
      extension: 'pdf',
      sniffedType: 'text/html',
      accept: ['image/*', '.pdf'],
    })
    const nameless = errorOf(() => assertAccepted(policy({ accept: ['.pdf'] }), sniffed('cv', 'text/html')))
    expect(nameless.message).toContain('and it has no extension;')
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
    const { message } = errorOf(() => assertNotTooSmall(policy({ minSizeBytes: 1024 }), { name: 'a.txt' }, 2))
    expect(message).toBe("file 'a.txt' has 2 bytes; at least 1 KiB are wanted")
  })
})
