import { describe, expect, it } from 'vitest'
import { textType } from '../../src/upload/text-types.ts'

const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
const typeOf = (text: string) => textType(Buffer.from(text))?.type

describe('text', () => {
  it.each([
    ['<!DOCTYPE html><title>x</title>'],
    ['<!doctype HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">'],
    ['<html lang="en">'],
    ['\n\t  <HTML>'],
    ['<script>alert(1)</script>'],
    ['<script\n>alert(1)'],
    ['<img src=x onerror=alert(1)>'],
    ['<body onload=alert(1)>'],
    ['<iframe src="javascript:alert(1)">'],
    ['<a href=x>'],
    ['<b>bold</b>'],
    ['<!-- a comment --><script>alert(1)</script>'],
    ['<!-- one --> <!-- two -->\n<p>'],
    ['<!--><script>alert(1)</script>-->'],
    ['<!-- no end of it <script>'],
    ['<!-- a comment --> and then text'],
    ['<br/>'],
    ['<p'],
  ])('%j is HTML', (text) => {
    expect(typeOf(text)).toBe('text/html')
  })

  it.each([
    [svg],
    [`<?xml version="1.0"?>\n<!-- Inkscape -->\n${svg}`],
    [
      `<?xml version="1.0" standalone="no"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd" [
        <!ENTITY ns_svg "http://www.w3.org/2000/svg"> ]><svg>`,
    ],
    [
      '<?xml version="1.0"?><!DOCTYPE any [ <!ENTITY a "b"> ]><svg:svg xmlns:svg="http://www.w3.org/2000/svg">',
    ],
    ['<SVG/onload=alert(1)>'],
    ['<svg>'],
    ['<!-- x --><svg onload=alert(1)>'],
    ['<?foo?><svg/>'],
  ])('%j is SVG', (text) => {
    expect(typeOf(text)).toBe('image/svg+xml')
  })

  it.each([
    ['<?xml version="1.0"?><rss><channel/></rss>', 'application/xml'],
    ['<?xml version="1.0"?><!DOCTYPE note SYSTEM "note.dtd"><note/>', 'application/xml'],
    ['<?xml version="1.0"?>', 'application/xml'],
    ['<note><to>Ada</to></note>', 'application/xml'],
    ['<gpx xmlns="http://www.topografix.com/GPX/1/1">', 'application/xml'],
    ['<x-card></x-card><script>alert(1)</script>', 'application/xml'],
    ['<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">', 'application/xhtml+xml'],
    ['<?xml version="1.0"?><!DOCTYPE html><html>', 'application/xhtml+xml'],
    ['%PDF-1.4\n', 'application/pdf'],
    ['\r\n%PDF-1.4\n', 'application/pdf'],
    ['{\\rtf1 hello}', 'application/rtf'],
    ['#!/bin/sh\nrm -rf /', 'text/x-shellscript'],
    ['#! /usr/bin/env node', 'text/x-shellscript'],
    ['<?php system($_GET[0]);', 'application/x-httpd-php'],
    ['<?= `id` ?>', 'application/x-httpd-php'],
    ['WEBVTT\n\n00:01.000 --> 00:04.000', 'text/vtt'],
    ['BEGIN:VCARD\r\nVERSION:4.0', 'text/vcard'],
    ['BEGIN:VCALENDAR\r\n', 'text/calendar'],
  ])('%j is of type %s', (text, type) => {
    expect(typeOf(text)).toBe(type)
  })

  it.each([
    ['hello'],
    ['a,b\n1,2'],
    ['{"html": "<script>"}'],
    ['alert(1)'],
    ['a < b > c'],
    ['<3'],
    ['<alice> hello'],
    ['<'],
    ['<script-like>'],
    ['#! not a path'],
    ['#![allow(dead_code)]'],
    ['colours: \u001b[31mred\u001b[0m'],
    ['Grüße, 世界 🎉'],
    [''],
  ])('%j is plain', (text) => {
    expect(typeOf(text)).toBe('text/plain')
  })

  it.each([
    ['UTF-8 with a mark', (text: string) => Buffer.from(`\ufeff${text}`)],
    ['UTF-16, the low byte first', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16, the high byte first', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16()],
    ['Latin-1', (text: string) => Buffer.from(text, 'latin1')],
  ])('is read in %s', (_encoding, encode) => {
    expect(textType(encode(`<?xml version="1.0"?>${svg}`))?.type).toBe('image/svg+xml')
    expect(textType(encode(' <script>Ä</script>'))?.type).toBe('text/html')
    expect(textType(encode('Grüße'))?.type).toBe('text/plain')
  })

  it('is read as markup in UTF-16 without a mark, as XML is', () => {
    const wide = Buffer.from(`<?xml version="1.0" encoding="UTF-16"?>${svg}`, 'utf16le')
    expect(textType(wide)?.type).toBe('image/svg+xml')
    expect(textType(Buffer.from(wide).swap16())?.type).toBe('image/svg+xml')
    expect(textType(Buffer.from(' <script>', 'utf16le'))?.type).toBe('text/html')
    expect(textType(Buffer.from('hello', 'utf16le'))).toBeUndefined()
  })

  it('is cut in the middle of a character without harm', () => {
    const wide = Buffer.from('\ufeff<p>Grüße', 'utf16le')
    for (let length = 8; length <= wide.length; length++) {
      expect(textType(wide.subarray(0, length))?.type).toBe('text/html')
    }
  })

  it.each([
    ['a zero', Buffer.from('a\0b')],
    ['a control character', Buffer.from('a\u0001b')],
    ['a zero in UTF-16', Buffer.from('\ufeffa\0b', 'utf16le')],
  ])('is nothing with %s in it', (_what, head) => {
    expect(textType(head)).toBeUndefined()
  })
})
