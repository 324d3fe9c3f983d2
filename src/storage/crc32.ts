/** The reversed polynomial of CRC-32 (ISO 3309), as zlib and S3 use it. */
const polynomial = 0xedb88320

/**
 * The CRC-32 of two pieces from the CRC-32 of each and the length of the second, without their bytes: so a file's
 * checksum comes from those of its parts, and each byte is summed once.
 *
 * CRC(A ++ B) = CRC(A) · x^(8·|B|) + CRC(B), modulo the polynomial.
 */
export function combineCrc32(first: number, second: number, secondLength: number): number {
  return (multiply(powerOfX(secondLength * 8), first) ^ second) >>> 0
}

/** As S3 writes a CRC-32: base64 of four bytes, the highest first. */
export function encodeCrc32(crc: number): string {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(crc)
  return bytes.toString('base64')
}

/** The product of two polynomials modulo CRC-32's, bits reversed: bit 31 is x^0. */
function multiply(left: number, right: number): number {
  let product = 0
  let shifted = right
  for (let bit = 31; bit >= 0; bit--) {
    if ((left >>> bit) & 1) product ^= shifted
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1
  }
  return product
}

/** x^n modulo the polynomial, by squaring. */
function powerOfX(n: number): number {
  let power = 0x80000000 // x^0
  let square = 0x40000000 // x^1
  // Halved by division: the bits of a large file do not fit in 32 bits.
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(power, square)
    square = multiply(square, square)
  }
  return power
}
