import { plainTextTypes } from '../core/known-types.js'
import type { SniffedType } from './sniffed-type.js'

/**
 * The type of text, after the ideas of the WHATWG's MIME Sniffing standard, which browsers follow: markup is what it
 * begins with, behind a byte order mark, white space and comments. More is taken for markup here than there.
 *
 * @returns undefined for what is no text.
 */
export function textType(head: Buffer): SniffedType | undefined {
  const text = textOf(head)
  if (text === undefined) return undefined
  const type = markedType(text) ?? markupType(text)
  // Markdown may begin with HTML, and is shown to nobody as such.
  if (type === 'text/html') return { type, alternatives: ['text/markdown'] }
  return type === undefined ? { type: 'text/plain', alternatives: plainTextTypes } : { type }
}

/** The characters of text; of UTF-8, whose marks are all ASCII, the bytes will do. */
function textOf(head: Buffer): string | undefined {
  if (head[0] === 0xff && head[1] === 0xfe) return controlFree(utf16(head.subarray(2)))
  if (head[0] === 0xfe && head[1] === 0xff) return controlFree(utf16(swapped(head.subarray(2))))
  const text = head.toString('latin1').replace(/^\u00ef\u00bb\u00bf/, '')
  if (head.length < 4 || (head[0] !== 0) === (head[1] !== 0)) return controlFree(text)
  const wide = controlFree(utf16(head[0] === 0 ? swapped(head) : head))
  return wide?.trimStart().startsWith('<') ? wide : undefined // XML is read without a mark too, nothing else is.
}

function utf16(bytes: Buffer): string {
  return bytes.subarray(0, bytes.length & ~1).toString('utf16le')
}

function swapped(bytes: Buffer): Buffer {
  return Buffer.from(bytes.subarray(0, bytes.length & ~1)).swap16()
}

/** What the standard calls binary data bytes: all control characters but tab, line ends, form feed and escape. */
const binaryCodes = ~((1 << 9) | (1 << 10) | (1 << 12) | (1 << 13) | (1 << 27))

function controlFree(text: string): string | undefined {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 32 && (binaryCodes >>> code) & 1) return undefined
  }
  return text
}

const marks: readonly [RegExp, string][] = [
  [/^\s*%PDF-/, 'application/pdf'],
  [/^%!PS/, 'application/postscript'],
  [/^\{\\rtf/, 'application/rtf'],
  [/^#!\s*\//, 'text/x-shellscript'],
  [/^\s*<\?(?:php|=)/i, 'application/x-httpd-php'],
  [/^WEBVTT(?:\s|$)/, 'text/vtt'],
  [/^BEGIN:VCARD\s/i, 'text/vcard'],
  [/^BEGIN:VCALENDAR\s/i, 'text/calendar'],
]

function markedType(text: string): string | undefined {
  return marks.find(([mark]) => mark.test(text))?.[1]
}

const htmlTags = new Set(
  `a abbr address area article aside audio b base big blockquote body br button canvas center code dd details dialog div dl
  dt em embed fieldset figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr i iframe img input ins
  isindex kbd label li link main map marquee menu meta nav noscript object ol option p picture plaintext pre script section
  select small source span strike strong style sub summary sup table tbody td template textarea tfoot th thead title tr
  track tt u ul var video wbr xmp`.split(/\s+/),
)

function markupType(text: string): string | undefined {
  let rest = text.trimStart()
  let [isXml, hasComment] = [false, false]
  for (let end = prologEnd(rest); end !== undefined; end = prologEnd(rest)) {
    if (/^<\?xml/i.test(rest)) isXml = true
    if (rest.startsWith('<!--')) hasComment = true
    const doctype = /^<!doctype\s+([\w:.-]+)/i.exec(rest)?.[1]?.toLowerCase()
    if (doctype === 'html') return isXml ? 'application/xhtml+xml' : 'text/html'
    if (doctype === 'svg') return 'image/svg+xml'
    if (doctype !== undefined) isXml = true
    rest = rest.slice(end).trimStart()
  }
  const tag = /^<(?:[\w.-]+:)?([a-z_][\w.-]*)(?=[\s/>]|$)/i.exec(rest)?.[1]?.toLowerCase()
  if (tag === 'svg') return 'image/svg+xml'
  if (tag === 'html') return isXml ? 'application/xhtml+xml' : 'text/html'
  if (isXml) return 'application/xml'
  if (hasComment || htmlTags.has(tag ?? '')) return 'text/html'
  return tag !== undefined && /<\/|\/>|xmlns/.test(rest) ? 'application/xml' : undefined
}

/** Where a processing instruction, a comment or a document type at the start ends; undefined for anything else. */
function prologEnd(text: string): number | undefined {
  if (text.startsWith('<?')) return endOf(text, '?>', 2)
  if (text.startsWith('<!--')) return endOf(text, '-->', 2) // `<!-->` is a whole comment to HTML.
  if (!/^<!doctype/i.test(text)) return undefined
  const subset = text.indexOf('[')
  const end = endOf(text, '>', 0)
  return subset < 0 || subset > end ? end : endOf(text, '>', endOf(text, ']', subset))
}

function endOf(text: string, mark: string, from: number): number {
  const at = text.indexOf(mark, from)
  return at < 0 ? text.length : at + mark.length
}
