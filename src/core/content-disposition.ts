import { replaceControlCharacters } from './object-key.js'

/**
 * A `Content-Disposition` value (RFC 6266): the name in ASCII for old clients, and, where that loses something, in
 * full as `filename*` (RFC 8187). No quote, backslash or line end of the name gets out of its place.
 */
export function contentDisposition(type: 'attachment' | 'inline', name: string): string {
  const clean = replaceControlCharacters(name, ' ')
  const ascii = clean.replace(/[^\x20-\x7e]/g, '_').replace(/["\\%]/g, '_')
  const plain = `${type}; filename="${ascii}"`
  if (ascii === clean) return plain
  // encodeURIComponent leaves '()*! as they are, of which RFC 8187's attr-char has only the exclamation mark.
  const full = encodeURIComponent(clean).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${plain}; filename*=UTF-8''${full}`
}
