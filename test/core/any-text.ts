import fc from 'fast-check'

/**
 * Any text of up to `maxLength` characters, with what is dangerous in names and paths more often than chance would
 * have it, halves of characters included. (`fc.string({ unit: 'binary' })` takes two seconds to begin.)
 */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  const character = fc.oneof(
    fc.constantFrom(
      '.',
      '..',
      '/',
      '\\',
      '%2e',
      ' ',
      '"',
      '\r\n',
      '\u0000',
      '\u202e',
      '.pdf',
      '😀',
      '\ud83d',
    ),
    fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
  )
  return fc.array(character, { maxLength, size: 'max' }).map((characters) => characters.join(''))
}
