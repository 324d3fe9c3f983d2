import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isKnownType } from '../../src/core/media-types.ts'
import { claimedMediaType, settledMediaType, sniffMediaType } from '../../src/upload/media-type.ts'
import { docx, exe, gif, heads, png, zipEntry } from '../support/sample-heads.ts'

const typed = Object.entries(heads).map(([name, head]) => [name, name.split(' ')[0] as string, head] as const)

it.each([
  ['image/png', 'image/png'],
  ['IMAGE/PNG', 'image/png'],
  [' text/plain ; charset=utf-8', 'text/plain'],
  ['application/vnd.ms-excel', 'application/vnd.ms-excel'],
  ['image/svg+xml', 'image/svg+xml'],
])('reads the claim %j as %s', (claim, type) => {
  expect(claimedMediaType(claim)).toBe(type)
})

it.each([
  undefined,
  '',
  'image',
  'image/',
  '/png',
  'image/png/x',
  'image /png',
  'text/html\r\nX-Evil: 1',
  'text/"html"',
  `text/${'x'.repeat(128)}`,
  'тест/html',
  ';',
])('counts the claim %j as unknown', (claim) => {
  expect(claimedMediaType(claim)).toBe('application/octet-stream')
})

describe('bytes', () => {
  it.each(typed)('of %s are recognised', (_name, type, head) => {
    expect(sniffMediaType(head).type).toBe(type)
  })

  it.each(typed)('of %s are recognised with binary data behind them', (_name, type, head) => {
    const file = Buffer.concat([
      head,
      Buffer.from(Array.from({ length: 4100 - head.length }, (_, i) => i * 7)),
    ])
    expect(sniffMediaType(file).type).toBe(type)
  })

  it.each(typed)(
    'of %s that break off early are that or unknown, never something else',
    (_name, type, head) => {
      const possible = [type, 'application/octet-stream', 'text/plain', ...broader(type)]
      for (let length = 0; length < Math.min(head.length, 700); length++) {
        const sniffed = sniffMediaType(head.subarray(0, length)).type
        expect(possible.filter((each) => each.startsWith(sniffed))).not.toEqual([])
      }
    },
  )

  it.each([
    ['a text that begins like a bitmap', 'BM is a text, and not a bitmap'],
    ['a text that begins like a program', 'MZ is a text'],
    ['a text that begins like a tag of MP3', 'ID3 tags are explained here'],
    [
      'a text that begins like an image, to be run as a script',
      'GIF89a/*<svg/onload=alert(1)>*/=alert(document.domain)',
    ],
    ['a text that begins like an archive', 'PK stands for Phil Katz'],
  ])('of %s are text', (_what, text) => {
    expect(sniffMediaType(Buffer.from(text)).type).toBe('text/plain')
  })

  it.each([
    ['an icon without images', '000001000000'],
    ['a font of 30,000 tables', '00010000753001000004000000'],
    ['an MPEG frame that no other follows', `fffb9064${'00'.repeat(600)}`],
    ['an MPEG frame of a bit rate that does not exist', `fffbf064${'00'.repeat(600)}`],
    ['a bitmap whose header has no known length', `424d460000000000000036000000${'11000000'}0000`],
    ['nobody knows what', '0001020304050607'],
  ])('of %s are unknown', (_what, hex) => {
    expect(sniffMediaType(Buffer.from(hex, 'hex'))).toEqual({ type: 'application/octet-stream' })
  })

  it('of any kind at all have a type', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (array) => {
        expect(sniffMediaType(Buffer.from(array)).type).toMatch(/^[a-z]+\/[a-z0-9.+-]+$/)
      }),
    )
  })

  it('behind any signature have a type', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...typed),
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(40),
        ([, , head], array, cut) => {
          const mutated = Buffer.concat([head.subarray(0, cut), array])
          expect(sniffMediaType(mutated).type).toMatch(/^[a-z]+\/[a-z0-9.+-]+$/)
        },
      ),
    )
  })
})

/** What the start of such a file may be taken for, before it says more. */
function broader(type: string): string[] {
  if (/zip|officedocument|opendocument|archive/.test(type)) return ['application/zip']
  if (type === 'audio/webm') return ['video/webm', 'video/x-matroska']
  if (type === 'video/webm') return ['video/x-matroska']
  if (/ogg$/.test(type)) return ['application/ogg']
  return /^image\/(?:heic|avif)$/.test(type) ? ['image/heif', 'video/mp4'] : []
}

describe('the type to store', () => {
  const settle = (head: Buffer | string, extension: string, declared = 'application/octet-stream') =>
    settledMediaType(sniffMediaType(Buffer.from(head as string)), extension, declared)
  const word = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'

  it.each([
    ['an image, whatever it is called', png, 'pdf', 'application/pdf', 'image/png'],
    [
      'a program, whatever it is called',
      exe,
      'png',
      'image/png',
      'application/vnd.microsoft.portable-executable',
    ],
    ['a page, whatever it is called', '<!doctype html><p>', 'png', 'image/png', 'text/html'],
    [
      'an image with a page behind it',
      Buffer.concat([gif, Buffer.from('<script>alert(1)</script>')]),
      'html',
      'text/html',
      'image/gif',
    ],
    [
      'unknown bytes that claim to be an image',
      Buffer.from([1, 2, 3, 0]),
      'png',
      'image/png',
      'application/octet-stream',
    ],
    ['text that claims to be an image', 'not an image', 'png', 'image/png', 'text/plain'],
    ['text that claims to be a script', 'alert(1)', 'js', 'text/javascript', 'text/plain'],
    ['text of a plain type', 'a;b\n1;2\n', 'csv', 'application/vnd.ms-excel', 'text/csv'],
    ['text of a plain type without an extension', '{"a":1}', '', 'application/json', 'application/json'],
    ['text of a plain type by another name', 'a,b', '', 'text/comma-separated-values', 'text/csv'],
    ['a page that claims to be plain', '<script>alert(1)</script>', 'csv', 'text/csv', 'text/html'],
    [
      'Markdown that begins with HTML',
      '<h1 align="center">Title</h1>\n\n# Install',
      'md',
      'text/plain',
      'text/markdown',
    ],
    ['nothing', '', 'png', 'image/png', 'text/plain'],
    ['nothing that claims to be a table', '', 'csv', 'text/csv', 'text/csv'],
    ['a document by its folders', docx, '', 'application/octet-stream', word],
    [
      'an archive that looks like a document and is called an archive',
      docx,
      'zip',
      'application/zip',
      'application/zip',
    ],
    ['an archive that claims to be a document', zipEntry('a.txt'), 'docx', word, 'application/zip'],
    [
      'a document whose folders come late',
      zipEntry('[Content_Types].xml'),
      'docx',
      'application/octet-stream',
      word,
    ],
    ['a document of another kind than it claims', docx, 'xlsx', 'application/octet-stream', word],
    [
      'a document as Google writes it',
      zipEntry('word/numbering.xml'),
      'docx',
      'application/octet-stream',
      word,
    ],
    [
      'an old document',
      heads['application/x-cfb'] as Buffer,
      'doc',
      'application/octet-stream',
      'application/msword',
    ],
    [
      'an old document that claims to be a program',
      heads['application/x-cfb'] as Buffer,
      'exe',
      'application/x-msdownload',
      'application/x-cfb',
    ],
    ['sound in a container for films', heads['video/mp4'] as Buffer, 'mp4', 'audio/x-m4a', 'audio/mp4'],
    ['a film in a container for films', heads['video/mp4'] as Buffer, 'mp4', 'video/mp4', 'video/mp4'],
  ])('is right for %s', (_what, head, extension, declared, type) => {
    expect(settle(head, extension, declared)).toBe(type)
  })

  it('is one that its extension is known for, whenever it is recognised', () => {
    for (const [, type] of typed)
      expect([type, isKnownType(type) || type === 'application/x-cfb']).toEqual([type, true])
  })
})
