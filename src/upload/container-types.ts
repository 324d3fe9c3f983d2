import { compoundFileTypes, ooxmlTypes } from '../core/known-types.js'
import type { SniffedType } from './sniffed-type.js'

/** Containers hold files of many types: what is inside says which one it is. */
export function containerType(head: Buffer): SniffedType | undefined {
  return (
    zipType(head) ??
    compoundFileType(head) ??
    isoMediaType(head) ??
    matroskaType(head) ??
    riffType(head) ??
    oggType(head)
  )
}

/**
 * By the names of the first entries: OpenDocument and EPUB begin with their type, the others are known by their folders.
 * A writer may put these in any order, so what is only likely is an alternative to `application/zip`.
 */
function zipType(head: Buffer): SniffedType | undefined {
  const start = head.toString('latin1', 0, 4)
  if (start === 'PK\x05\x06' || start === 'PK\x07\x08') return { type: 'application/zip' }
  if (start !== 'PK\x03\x04') return undefined
  const entries = zipEntries(head)
  const [first] = entries
  if (first?.name === 'mimetype') {
    const type = /^application\/(?:epub\+zip|vnd\.oasis\.opendocument\.[a-z-]+)/.exec(first.content)?.[0]
    return { type: type ?? 'application/zip' }
  }
  const holds = (start: string) => entries.some(({ name }) => name.startsWith(start))
  const office = Object.entries(ooxmlTypes).find(([folder]) => holds(`${folder}/`))?.[1]
  if (['[Content_Types].xml', '_rels/', 'docProps/'].some(holds)) {
    const [type = 'application/zip', ...others] = office ?? []
    const all = office ?? Object.values(ooxmlTypes).flat()
    return { type, alternatives: ['application/zip', ...others, ...all] }
  }
  if (office !== undefined) return { type: 'application/zip', alternatives: office }
  const [jar, apk] = ['application/java-archive', 'application/vnd.android.package-archive']
  if (holds('AndroidManifest.xml')) return { type: apk as string, alternatives: ['application/zip'] }
  if (holds('META-INF/')) return { type: jar as string, alternatives: [apk as string, 'application/zip'] }
  return { type: 'application/zip' }
}

/** The entries that begin in the head; found by their mark, since their lengths may only come behind them. */
function zipEntries(head: Buffer): { name: string; content: string }[] {
  const entries = []
  for (let at = 0; at >= 0 && at + 30 <= head.length; at = head.indexOf('PK\x03\x04', at + 4, 'latin1')) {
    const nameEnd = at + 30 + head.readUInt16LE(at + 26)
    const contentStart = nameEnd + head.readUInt16LE(at + 28)
    const content = head.toString('latin1', contentStart, contentStart + 100)
    entries.push({ name: head.toString('latin1', at + 30, nameEnd), content })
  }
  return entries
}

function compoundFileType(head: Buffer): SniffedType | undefined {
  if (head.toString('latin1', 0, 8) !== '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1') return undefined
  return { type: 'application/x-cfb', alternatives: compoundFileTypes }
}

const brands: readonly [RegExp, SniffedType][] = [
  [/^avi[fs]/, { type: 'image/avif' }],
  [/^he(?:i[csmx]|v[cxms])/, { type: 'image/heic', alternatives: ['image/heif'] }],
  [/^m[is]f1/, { type: 'image/heif', alternatives: ['image/heic'] }],
  [/^crx /, { type: 'image/x-canon-cr3' }],
  [/^jp[2xm] /, { type: 'image/jp2' }],
  [/^qt {2}/, { type: 'video/quicktime' }],
  [/^M4[ABP] /, { type: 'audio/mp4' }],
  [/^3g2/, { type: 'video/3gpp2' }],
  [/^3g[ehrst]?/, { type: 'video/3gpp' }],
]

/** ISO/IEC 14496-12: the brands of the first box. QuickTime from before there were brands begins with others. */
function isoMediaType(head: Buffer): SniffedType | undefined {
  if (head.length < 12) return undefined
  const box = head.toString('latin1', 4, 8)
  if (['moov', 'mdat', 'wide'].includes(box)) return { type: 'video/quicktime' }
  const size = head.readUInt32BE(0)
  if (box !== 'ftyp' || size < 16 || size > 1024) return undefined
  const major = head.toString('latin1', 8, 12)
  const compatible = head.toString('latin1', 16, size).match(/.{4}/gs) ?? []
  // An image may say only that it is one, and its kind among the compatible brands.
  const kind = /^m[is]f1/.test(major) ? compatible.find((brand) => /^(?:av|he)/.test(brand)) : undefined
  const known = brands.find(([pattern]) => pattern.test(kind ?? major))?.[1]
  return known ?? { type: 'video/mp4', alternatives: ['audio/mp4'] }
}

/** EBML's DocType is near its start, the names of the codecs in the tracks, which mostly come soon. */
function matroskaType(head: Buffer): SniffedType | undefined {
  if (head.toString('latin1', 0, 4) !== '\x1a\x45\xdf\xa3') return undefined
  const isWebm = head.toString('latin1', 4, 64).includes('webm')
  const [video, audio] = isWebm
    ? (['video/webm', 'audio/webm'] as const)
    : (['video/x-matroska', 'audio/x-matroska'] as const)
  if (head.includes('V_')) return { type: video }
  return head.includes('A_') ? { type: audio, alternatives: [video] } : { type: video, alternatives: [audio] }
}

function riffType(head: Buffer): SniffedType | undefined {
  const form = head.toString('latin1', 0, 4) + head.toString('latin1', 8, 12)
  const types: Record<string, string> = {
    RIFFWEBP: 'image/webp',
    'RIFFAVI ': 'video/x-msvideo',
    RIFFWAVE: 'audio/wav',
    RF64WAVE: 'audio/wav',
    FORMAIFF: 'audio/aiff',
    FORMAIFC: 'audio/aiff',
  }
  const type = types[form]
  return type === undefined ? undefined : { type }
}

/** RFC 5334: the first pages name the codecs. */
function oggType(head: Buffer): SniffedType | undefined {
  if (head.toString('latin1', 0, 4) !== 'OggS') return undefined
  if (head.includes('\x80theora', 0, 'latin1')) return { type: 'video/ogg' }
  const isAudio = ['\x01vorbis', 'OpusHead', 'Speex   ', '\x7fFLAC'].some((mark) =>
    head.includes(mark, 0, 'latin1'),
  )
  return isAudio
    ? { type: 'audio/ogg' }
    : { type: 'application/ogg', alternatives: ['audio/ogg', 'video/ogg'] }
}
