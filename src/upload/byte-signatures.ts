/** A type, and the Latin-1 text of bytes that a file of it has at that offset. */
type Signature = readonly [type: string, bytes: string, offset?: number]

const signatures: readonly Signature[] = [
  ['image/png', '\x89PNG\r\n\x1a\n'],
  ['image/jpeg', '\xff\xd8\xff'],
  ['image/gif', 'GIF87a'],
  ['image/gif', 'GIF89a'],
  ['image/tiff', 'II*\0'],
  ['image/tiff', 'MM\0*'],
  ['image/tiff', 'II+\0'],
  ['image/tiff', 'MM\0+'],
  ['image/vnd.adobe.photoshop', '8BPS\0'],
  ['image/jp2', '\0\0\0\x0cjP  \r\n\x87\n'],
  ['image/jp2', '\xff\x4f\xff\x51'],
  ['image/jxl', '\0\0\0\x0cJXL \r\n\x87\n'],
  ['image/jxl', '\xff\x0a'],
  ['audio/flac', 'fLaC'],
  ['audio/mpeg', 'ID3\x02'],
  ['audio/mpeg', 'ID3\x03'],
  ['audio/mpeg', 'ID3\x04'],
  ['audio/amr', '#!AMR'],
  ['audio/midi', 'MThd\0\0\0\x06'],
  ['video/mpeg', '\0\0\x01\xba'],
  ['video/mpeg', '\0\0\x01\xb3'],
  ['video/x-flv', 'FLV\x01'],
  ['video/x-ms-asf', '\x30\x26\xb2\x75\x8e\x66\xcf\x11'],
  ['font/woff', 'wOFF'],
  ['font/woff2', 'wOF2'],
  ['font/otf', 'OTTO\0'],
  ['font/ttf', 'true\0'],
  ['font/collection', 'ttcf\0'],
  ['application/pdf', '%PDF-'],
  ['application/rtf', '{\\rtf'],
  ['application/postscript', '%!PS'],
  ['application/postscript', '\xc5\xd0\xd3\xc6'],
  ['application/gzip', '\x1f\x8b\x08'],
  ['application/x-bzip2', '1AY&SY', 4],
  ['application/x-bzip2', '\x17\x72\x45\x38\x50\x90', 4],
  ['application/x-xz', '\xfd7zXZ\0'],
  ['application/zstd', '\x28\xb5\x2f\xfd'],
  ['application/x-lz4', '\x04\x22\x4d\x18'],
  ['application/x-7z-compressed', '7z\xbc\xaf\x27\x1c'],
  ['application/vnd.rar', 'Rar!\x1a\x07'],
  ['application/x-tar', 'ustar', 257],
  ['application/vnd.ms-cab-compressed', 'MSCF\0\0\0\0'],
  ['application/vnd.debian.binary-package', '!<arch>\ndebian-binary'],
  ['application/x-rpm', '\xed\xab\xee\xdb'],
  ['application/vnd.sqlite3', 'SQLite format 3\0'],
  ['application/vnd.microsoft.portable-executable', 'MZ'],
  ['application/x-elf', '\x7fELF'],
  ['application/x-mach-binary', '\xfe\xed\xfa\xce'],
  ['application/x-mach-binary', '\xfe\xed\xfa\xcf'],
  ['application/x-mach-binary', '\xce\xfa\xed\xfe'],
  ['application/x-mach-binary', '\xcf\xfa\xed\xfe'],
  ['application/wasm', '\0asm'],
  ['application/x-ms-shortcut', 'L\0\0\0\x01\x14\x02\0'],
]

/** No signature is looked for beyond. */
const signatureBytes = 280

/** The type whose signature the bytes have. */
export function signedType(head: Buffer): string | undefined {
  const start = head.toString('latin1', 0, signatureBytes)
  return signatures.find(([, bytes, offset = 0]) => start.startsWith(bytes, offset))?.[0]
}
