/** Formats whose first bytes are too few to go by: what follows must make sense too. */
export function structuredType(head: Buffer): string | undefined {
  if (isBitmap(head)) return 'image/bmp'
  if (isIcon(head)) return 'image/x-icon'
  if (isTrueType(head)) return 'font/ttf'
  if (isTransportStream(head)) return 'video/mp2t'
  return programType(head) ?? audioFrameType(head)
}

/** Microsoft's BITMAPFILEHEADER, and the length of the header that follows it. */
function isBitmap(head: Buffer): boolean {
  if (head.length < 18 || head.toString('latin1', 0, 2) !== 'BM' || head.readUInt32LE(6) !== 0) return false
  return [12, 40, 52, 56, 64, 108, 124].includes(head.readUInt32LE(14))
}

/** ICONDIR with at least one entry, whose image comes after the directory. */
function isIcon(head: Buffer): boolean {
  if (head.length < 22 || head.readUInt16LE(0) !== 0 || ![1, 2].includes(head.readUInt16LE(2))) return false
  const count = head.readUInt16LE(4)
  return count > 0 && head[9] === 0 && head.readUInt32LE(18) >= 6 + 16 * count
}

/** Version 1.0 and a number of tables that a font can have. */
function isTrueType(head: Buffer): boolean {
  if (head.length < 12 || head.readUInt32BE(0) !== 0x10000) return false
  const tables = head.readUInt16BE(4)
  return tables > 3 && tables < 100
}

/** ISO/IEC 13818-1: packets of 188 bytes, in M2TS with four more before each. */
function isTransportStream(head: Buffer): boolean {
  return hasPackets(head, 0, 188) || hasPackets(head, 4, 192)
}

function hasPackets(head: Buffer, start: number, size: number): boolean {
  return [0, 1, 2].every((packet) => head[start + packet * size] === 0x47)
}

/** Java classes and Mach-O for several processors begin alike: a version of 45 or more, or a few processors. */
function programType(head: Buffer): string | undefined {
  if (head.length < 8 || head.readUInt32BE(0) !== 0xcafebabe) return undefined
  return head.readUInt16BE(6) >= 45 ? 'application/java-vm' : 'application/x-mach-binary'
}

/** MPEG audio without a tag: the first frame, and behind it the second one, if it is in sight. */
function audioFrameType(head: Buffer): string | undefined {
  if (head.length < 8 || head[0] !== 0xff) return undefined
  const next = layer3FrameBytes(head)
  if (next !== undefined) return isSyncAt(head, next, 0xe0) ? 'audio/mpeg' : undefined
  // ADTS, ISO/IEC 13818-7: the layer is always 0, the length of the frame is in 13 bits.
  if (((head[1] as number) & 0xf6) !== 0xf0) return undefined
  const length = (((head[3] as number) & 3) << 11) | ((head[4] as number) << 3) | ((head[5] as number) >>> 5)
  return length >= 7 && isSyncAt(head, length, 0xf0) ? 'audio/aac' : undefined
}

function isSyncAt(head: Buffer, offset: number, mask: number): boolean {
  if (offset >= head.length) return true
  return head[offset] === 0xff && ((head[offset + 1] ?? mask) & mask) === mask
}

const bitrates1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
const bitrates2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
const sampleRates = [44_100, 48_000, 32_000]

/** The length of an MP3 frame by its header (ISO/IEC 11172-3, 13818-3). */
function layer3FrameBytes(head: Buffer): number | undefined {
  const [second, third] = [head[1] as number, head[2] as number]
  const version = (second >> 3) & 3 // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
  if ((second & 0xe0) !== 0xe0 || ((second >> 1) & 3) !== 1 || version === 1) return undefined
  const rate = sampleRates[(third >> 2) & 3]
  const bitrate = (version === 3 ? bitrates1 : bitrates2)[third >> 4]
  if (rate === undefined || !bitrate) return undefined
  const sampleRate = rate / { 3: 1, 2: 2, 0: 4 }[version as 0 | 2 | 3]
  const padding = (third >> 1) & 1
  return Math.floor(((version === 3 ? 144 : 72) * bitrate * 1000) / sampleRate) + padding
}
