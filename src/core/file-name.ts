import { isReservedKeySegment, isReservedName, replaceControlCharacters } from './object-key.js'

/** Bytes of UTF-8; what every common file system takes. */
const maxNameBytes = 255
export const maxSlugLength = 100
const fallbackName = 'file'

/** Windows drops blanks and dots at the end; characters without a shape would hide them from the eye. */
const unseenEnd = /(?<![\s.\p{Cf}])[\s.\p{Cf}]+$/u

/**
 * A client's file name, safe to keep, to show and to save: no path, no control characters, no reserved name, nothing at its end that nobody sees,
 * at most 255 bytes of UTF-8 with the extension kept. Never empty.
 */
export function displayName(given: string | undefined): string {
  const base = (given ?? '').split(/[/\\]/).at(-1) as string
  const text = isPlain(base) ? base : replaceControlCharacters(base, '').normalize('NFC')
  const name = text.replace(unseenEnd, '').trimStart()
  if (name === '') return fallbackName
  if (isReservedName(name)) return displayName(unreserved(name))
  if (Buffer.byteLength(name) <= maxNameBytes) return name
  const extension = extensionOf(name)
  const suffix = extension === '' ? '' : `.${extension}`
  const stem = name.slice(0, name.length - suffix.length)
  return `${firstBytes(stem, maxNameBytes - suffix.length).replace(unseenEnd, '')}${suffix}`
}

/** Whether it has printable ASCII only, as most names do: Unicode's own steps take longer than all others together. */
function isPlain(text: string): boolean {
  return /^[ -~]*$/.test(text)
}

/** The start of a text, in whole characters. */
function firstBytes(text: string, maxBytes: number): string {
  let first = ''
  let bytes = 0
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > maxBytes) break
    first += character
  }
  return first
}

/** The extension of a name in lower case and without its dot: 1 to 10 ASCII letters and digits, otherwise `''`. */
export function extensionOf(name: string): string {
  return /[^.]\.([a-z0-9]{1,10})$/i.exec(name)?.[1]?.toLowerCase() ?? ''
}

/**
 * The extension that people and file systems see in a name: `exe` of `a.e xe`, `a．ｅｘｅ`, `a.exe.` and `.exe`. Blanks, dots
 * at the end and characters without a shape hide none.
 */
export function shownExtension(name: string): string {
  const shown = name.normalize('NFKC').replace(/[\s\p{Default_Ignorable_Code_Point}]+/gu, '')
  return /\.([a-z0-9]{1,10})\.*$/i.exec(shown)?.[1]?.toLowerCase() ?? ''
}

/**
 * The name as a part of a key: ASCII letters, digits, `.`, `-`, `_`; accents dropped, the extension kept. What has
 * no such letter becomes `file`, so `报告.pdf` gives `file.pdf`; a reserved name gets an underscore: `con_.txt`.
 *
 * @param maxLength of `base`, at least 1.
 */
export function slugName(name: string, maxLength = maxSlugLength): { base: string; extension: string } {
  const extension = extensionOf(name)
  const stem = extension === '' ? name : name.slice(0, -(extension.length + 1))
  const slug = (isPlain(stem) ? stem : stem.normalize('NFKD').replace(/\p{M}+/gu, ''))
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/\.{2,}/g, '.')
  const base = start(slug, maxLength)
  const safe = isReservedKeySegment(base) ? start(unreserved(base), maxLength) : base
  // An underscore may be what does not fit.
  return {
    base: safe === '' || isReservedKeySegment(safe) ? start(fallbackName, maxLength) : safe,
    extension,
  }
}

function start(slug: string, maxLength: number): string {
  return slug.slice(0, maxLength).replace(/^[.-]+|[.-]+$/g, '')
}

/** `con.tar.gz` → `con_.tar.gz` */
function unreserved(name: string): string {
  return name.replace(/\.|$/, '_$&')
}
