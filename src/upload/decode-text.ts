/** The characters of the bytes 0x80 to 0x9F in windows-1252, as the Encoding Standard's index has them. */
const from80 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

/**
 * Decodes a text as the Encoding Standard does. Node 20 and 22 take windows-1252, and with it ISO-8859-1 and ASCII, for
 * Latin-1 (https://github.com/nodejs/node/issues/56542), and give control characters for quotes and dashes.
 *
 * @throws RangeError for an unknown charset; TypeError, with `fatal`, for bytes that are no character of it.
 */
export function decodeText(bytes: Uint8Array, charset = 'utf-8', { fatal = false } = {}): string {
  const decoder = new TextDecoder(charset, { ignoreBOM: true, fatal })
  const text = decoder.decode(bytes)
  if (decoder.encoding !== 'windows-1252') return text
  return text.replace(/[\u0080-\u009f]/g, (character) => from80[character.charCodeAt(0) - 0x80] as string)
}
