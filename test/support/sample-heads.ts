/** Bytes by hex and by text in turn: `bytes('89', 'PNG')`. */
function bytes(...parts: string[]): Buffer {
  return Buffer.concat(parts.map((part, index) => Buffer.from(part, index % 2 === 0 ? 'hex' : 'latin1')))
}

/** Something binary to come behind a head. */
const tail = '00'.repeat(32)

export const png = bytes('89', 'PNG', '0d0a1a0a0000000d', 'IHDR', tail)
export const jpeg = bytes('ffd8ffe00010', 'JFIF', tail)
export const gif = bytes('', 'GIF89a', `01000100800000${tail}`)
export const pdf = Buffer.from('%PDF-1.7\n%\u00e2\u00e3\u00cf\u00d3\n1 0 obj\n', 'latin1')
export const exe = bytes('', 'MZ', `90000300000004000000ffff${tail}`)

/** One local entry of a ZIP archive, as it is written by whoever knows its length before. */
export function zipEntry(name: string, content = 'x', extra = ''): Buffer {
  const header = Buffer.alloc(30)
  header.write('PK\x03\x04', 'latin1')
  header.writeUInt32LE(content.length, 18)
  header.writeUInt16LE(Buffer.byteLength(name), 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, Buffer.from(name + extra + content, 'latin1')])
}

export const docx = Buffer.concat([
  zipEntry('[Content_Types].xml', 'x'.repeat(400), '\0'.repeat(520)),
  zipEntry('_rels/.rels', 'x'.repeat(250)),
  zipEntry('word/document.xml', 'x'.repeat(900)),
])

const frame = (hex: string, length: number) => bytes(hex, '\0'.repeat(length - hex.length / 2))
const ftyp = (major: string, ...compatible: string[]) => {
  const size = (16 + 4 * compatible.length).toString(16).padStart(8, '0')
  return bytes(size, `ftyp${major}`, '00000200', compatible.join(''), '00000008', 'free')
}
const at = (offset: number, text: string, ...rest: [number, string][]) => {
  const head = Buffer.alloc(600)
  for (const [place, bytes] of [[offset, text] as [number, string], ...rest])
    head.write(bytes, place, 'latin1')
  return head
}
const ebml = (docType: string, codec = '') =>
  bytes('1a45dfa39f4286810142f7810142f2810442f381084282', `\x84${docType}`, '4287810242858102', codec, tail)

/** The first bytes of files, by their type; several of a type have a name behind a space. */
export const heads: Record<string, Buffer> = {
  'image/png': png,
  'image/jpeg': jpeg,
  'image/gif': gif,
  'image/gif 87a': bytes('', 'GIF87a', `01000100${tail}`),
  'image/webp': bytes('', 'RIFF', '24000000', 'WEBPVP8 ', tail),
  'image/avif': ftyp('avif', 'avif', 'mif1', 'miaf'),
  'image/avif by a compatible brand': ftyp('mif1', 'mif1', 'avif'),
  'image/heic': ftyp('heic', 'mif1', 'heic'),
  'image/heic by a compatible brand': ftyp('mif1', 'mif1', 'heic'),
  'image/heif': ftyp('mif1', 'mif1', 'miaf'),
  'image/bmp': bytes('', 'BM', '46000000000000003600000028000000', tail),
  'image/tiff': bytes('', 'II*', `0008000000${tail}`),
  'image/tiff of Motorola': bytes('', 'MM', `002a00000008${tail}`),
  'image/x-icon': bytes(`0000010001001010000001002000680400001600000028000000${tail}`),
  'image/vnd.adobe.photoshop': bytes('', '8BPS', `0001000000000000${tail}`),
  'image/jp2': bytes('0000000c', 'jP  ', `0d0a870a${tail}`),
  'image/jxl': bytes('0000000c', 'JXL ', `0d0a870a${tail}`),
  'image/x-canon-cr3': ftyp('crx ', 'crx ', 'isom'),
  'video/mp4': ftyp('isom', 'isom', 'iso2', 'avc1', 'mp41'),
  'video/quicktime': ftyp('qt  ', 'qt  '),
  'video/quicktime without a brand': bytes('00000008', 'wide', '0001e240', 'mdat', tail),
  'video/3gpp': ftyp('3gp5', '3gp5'),
  'video/webm': ebml('webm', 'V_VP9'),
  'video/x-matroska': ebml('matroska', 'V_MPEG4'),
  'audio/webm': ebml('webm', 'A_OPUS'),
  'video/x-msvideo': bytes('', 'RIFF', '24000000', 'AVI LIST', tail),
  'video/mpeg': bytes(`000001ba44000400${tail}`),
  'video/mp2t': at(0, 'G@', [188, 'G@'], [376, 'G@']),
  'video/mp2t of a camcorder': at(4, 'G@', [196, 'G@'], [388, 'G@']),
  'video/x-flv': bytes('', 'FLV', `010500000009${tail}`),
  'video/x-ms-asf': bytes(`3026b2758e66cf11a6d900aa0062ce6c${tail}`),
  'audio/mpeg with a tag': bytes('', 'ID3', `03000000000a${tail}`),
  'audio/mpeg': Buffer.concat([frame('fffb9064', 417), frame('fffb9064', 417)]),
  'audio/mpeg of MPEG 2': Buffer.concat([frame('fff3a4c4', 288), frame('fff3a4c4', 288)]),
  'audio/aac': Buffer.concat([frame('fff150802ffffc00', 383), frame('fff150802ffffc00', 383)]),
  'audio/wav': bytes('', 'RIFF', '24000000', 'WAVEfmt ', tail),
  'audio/flac': bytes('', 'fLaC', `00000022${tail}`),
  'audio/ogg of Opus': bytes('', 'OggS', `0002${'00'.repeat(22)}`, 'OpusHead', tail),
  'audio/ogg of Vorbis': bytes('', 'OggS', `0002${'00'.repeat(22)}01`, 'vorbis', tail),
  'video/ogg': bytes('', 'OggS', `0002${'00'.repeat(22)}80`, 'theora', tail),
  'audio/mp4': ftyp('M4A ', 'M4A ', 'mp42', 'isom'),
  'audio/aiff': bytes('', 'FORM', '00000024', 'AIFFCOMM', tail),
  'audio/amr': bytes('', '#!AMR\n', tail),
  'audio/midi': bytes('', 'MThd', `00000006000100020060${tail}`),
  'font/woff': bytes('', 'wOFF', `00010000${tail}`),
  'font/woff2': bytes('', 'wOF2', `00010000${tail}`),
  'font/ttf': bytes(`0001000000120100000400${tail}`),
  'font/otf': bytes('', 'OTTO', `000c0080${tail}`),
  'font/collection': bytes('', 'ttcf', `00010000${tail}`),
  'application/pdf': Buffer.concat([pdf, Buffer.alloc(8)]),
  'application/pdf of ASCII': Buffer.from('%PDF-1.4\n1 0 obj\n'),
  'application/postscript': Buffer.from('%!PS-Adobe-3.0 EPSF-3.0\n'),
  'application/rtf': Buffer.from('{\\rtf1\\ansi\\deff0 Hello}'),
  'application/zip': Buffer.concat([zipEntry('photos/a.jpg'), zipEntry('b.txt')]),
  'application/zip without entries': bytes('', 'PK\x05\x06', '00'.repeat(18)),
  'application/epub+zip': zipEntry('mimetype', 'application/epub+zip'),
  'application/vnd.oasis.opendocument.text': zipEntry('mimetype', 'application/vnd.oasis.opendocument.text'),
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': docx,
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': Buffer.concat([
    zipEntry('_rels/.rels'),
    zipEntry('xl/workbook.xml'),
  ]),
  'application/java-archive': Buffer.concat([zipEntry('META-INF/'), zipEntry('META-INF/MANIFEST.MF')]),
  'application/vnd.android.package-archive': zipEntry('AndroidManifest.xml'),
  'application/gzip': bytes(`1f8b0800000000000003${tail}`),
  'application/x-bzip2': bytes('', 'BZh91AY&SY', tail),
  'application/x-xz': bytes('fd', '7zXZ', `000004${tail}`),
  'application/zstd': bytes(`28b52ffd0458${tail}`),
  'application/x-7z-compressed': bytes('', '7z', `bcaf271c0004${tail}`),
  'application/vnd.rar': bytes('', 'Rar!', `1a0700${tail}`),
  'application/vnd.rar 5': bytes('', 'Rar!', `1a070100${tail}`),
  'application/x-tar': at(0, 'notes.txt', [257, 'ustar\x0000']),
  'application/x-cfb': bytes(`d0cf11e0a1b11ae1${tail}`),
  'application/vnd.ms-cab-compressed': bytes('', 'MSCF', `00000000${tail}`),
  'application/vnd.debian.binary-package': bytes('', '!<arch>\ndebian-binary   ', tail),
  'application/vnd.sqlite3': bytes('', 'SQLite format 3', `00100001010040${tail}`),
  'application/vnd.microsoft.portable-executable': exe,
  'application/x-elf': bytes('7f', 'ELF', `020101${tail}`),
  'application/x-mach-binary': bytes(`cffaedfe07000001${tail}`),
  'application/x-mach-binary for two processors': bytes(`cafebabe0000000201000007${tail}`),
  'application/java-vm': bytes(`cafebabe00000041${tail}`),
  'application/wasm': bytes('00', 'asm', `01000000${tail}`),
}
