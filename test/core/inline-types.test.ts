import { describe, expect, it } from 'vitest'
import { dispositionOf, inlineTypesProblem, mayBeInline } from '../../src/core/inline-types.ts'

/** What runs when a browser shows it, what it would guess the type of, and what is no type at all. */
const dangerous = [
  'text/html',
  'TEXT/HTML',
  'text/html; charset=utf-8',
  'application/xhtml+xml',
  'image/svg+xml',
  'IMAGE/SVG+XML',
  'image/svg',
  'image/svg+xml; charset=utf-8',
  'application/xml',
  'text/xml',
  'application/rss+xml',
  'image/x+xml',
  'text/javascript',
  'application/javascript',
  'text/css',
  'text/markdown',
  'application/zip',
  'application/octet-stream',
  'application/unknown',
  'multipart/x-mixed-replace',
  'message/rfc822',
  '*/*',
  'image/*',
  'image',
  '',
  'image/png, text/html',
  'image/png,text/html',
  'image/png; charset=x, text/html',
  'image/png;x=",text/html"',
  'image/png\r\nx: y',
  ' text/html',
  null,
  undefined,
]

const harmless = [
  'image/png',
  'IMAGE/JPEG',
  'image/x-canon-cr3',
  'audio/mpeg',
  'video/mp4',
  'application/pdf',
  'application/x-pdf',
  'application/json',
  'text/plain',
  'text/plain; charset=utf-8',
  'text/plain;charset="utf-8"',
  'text/csv',
]

describe('a type', () => {
  it.each(dangerous)('%j is never shown, whatever is asked for or listed', (type) => {
    expect(mayBeInline(type)).toBe(false)
    const lists = [['*/*'], [String(type)], ['text/*', 'image/*', 'application/*']]
    for (const list of lists) {
      expect(dispositionOf(type, list)).toBe('attachment')
      expect(dispositionOf(type, list, 'inline')).toBe('attachment')
    }
  })

  it.each(harmless)('%j is shown when that is asked for', (type) => {
    expect(dispositionOf(type, [], 'inline')).toBe('inline')
    expect(dispositionOf(type, [])).toBe('attachment')
    expect(dispositionOf(type, undefined, 'attachment')).toBe('attachment')
  })

  it.each([
    ['image/png', 'inline'],
    ['Image/PNG', 'inline'],
    ['audio/mpeg', 'inline'],
    ['video/mp4', 'inline'],
    ['application/pdf', 'attachment'],
    ['text/plain', 'attachment'],
  ])('%j is answered by default as %s', (type, disposition) => {
    expect(dispositionOf(type)).toBe(disposition)
  })

  it.each([
    [['application/pdf'], 'application/pdf', 'inline'],
    [['Application/X-PDF'], 'application/pdf', 'inline'],
    [['text/plain'], 'text/plain; charset=utf-8', 'inline'],
    [['application/pdf'], 'image/png', 'attachment'],
    [['image/png'], 'image/gif', 'attachment'],
    [['image/*'], 'image/gif', 'inline'],
  ])('is shown as a list of %j says: %s, %s', (list, type, disposition) => {
    expect(dispositionOf(type, list)).toBe(disposition)
  })
})

describe('a list of types to show', () => {
  it.each([[[]], [['image/*', 'audio/*', 'VIDEO/*', 'application/pdf', 'image/png']]])(
    'may be %j',
    (list) => {
      expect(inlineTypesProblem(list)).toBeUndefined()
    },
  )

  it.each([
    ['image/*'],
    [['text/html']],
    [['image/png', 'image/svg+xml']],
    [['*/*']],
    [['text/*']],
    [[5]],
    [undefined],
  ])('may not be %j', (list) => {
    expect(inlineTypesProblem(list)).toMatch(/^a list of types that a browser shows/)
  })
})
