import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { displayName, extensionOf, shownExtension, slugName } from '../../src/core/file-name.ts'
import { pathProblem } from '../../src/core/object-key.ts'
import { anyText } from './any-text.ts'

describe('displayName', () => {
  it.each([
    ['a plain name', 'report.pdf', 'report.pdf'],
    ['Unicode', '报告 😀.pdf', '报告 😀.pdf'],
    ['quotes', `it's "quoted".pdf`, `it's "quoted".pdf`],
    ['a hidden file', '.htaccess', '.htaccess'],
    ['joiners within it', '👨\u200d👩\u200d👧 می\u200cخواهم.pdf', '👨\u200d👩\u200d👧 می\u200cخواهم.pdf'],
  ])('keeps %s', (_what, given, name) => {
    expect(displayName(given)).toBe(name)
  })

  it.each([
    ['a Unix path', '/etc/passwd', 'passwd'],
    ['a climbing path', '../../etc/passwd', 'passwd'],
    ['a Windows path', 'C:\\fakepath\\report.pdf', 'report.pdf'],
    ['a path of both kinds', 'a\\b/c\\d.txt', 'd.txt'],
    ['line ends', 'a\r\nSet-Cookie: x.txt', 'aSet-Cookie: x.txt'],
    ['an override that reverses the name', 'photo\u202egnp.exe', 'photognp.exe'],
    ['an Arabic letter mark', 'a\u061cb.pdf', 'ab.pdf'],
    ['a NUL before a second extension', 'a.php\u0000.png', 'a.php.png'],
    ['spaces around it', '  report.pdf \t', 'report.pdf'],
    ['dots at its end, as Windows does', 'a.exe. .', 'a.exe'],
    ['characters without a shape at its end', 'a.exe\u200b.\ufeff\u00ad\u2060', 'a.exe'],
  ])('drops %s', (_what, given, name) => {
    expect(displayName(given)).toBe(name)
  })

  it.each([undefined, '', ' ', '.', '..', '...', '.\u200b', 'a/', 'a\\', '/..', '\u0000', '\u202e'])(
    'calls what has no name, such as %j, a file',
    (given) => {
      expect(displayName(given)).toBe('file')
    },
  )

  it('writes the same name the same way, however its accents came', () => {
    expect(displayName('re\u0301sume\u0301.pdf')).toBe('r\u00e9sum\u00e9.pdf')
  })

  it('replaces half a character, which no store could keep', () => {
    expect(displayName('a\ud83d.pdf')).toBe('a\ufffd.pdf')
  })

  it('keeps a name of 255 bytes as it is', () => {
    const name = `${'a'.repeat(251)}.pdf`
    expect(displayName(name)).toBe(name)
  })

  it('keeps the extension when a name of 300 characters is cut', () => {
    expect(displayName(`${'a'.repeat(296)}.pdf`)).toBe(`${'a'.repeat(251)}.pdf`)
  })

  // A character at a time from the end would take hours.
  it('cuts a name of a million characters', () => {
    expect(displayName(`${'a'.repeat(1_000_000)}.pdf`)).toBe(`${'a'.repeat(251)}.pdf`)
  })

  it('cuts between characters, never within an emoji', () => {
    expect(displayName(`${'😀'.repeat(75)}.pdf`)).toBe(`${'😀'.repeat(62)}.pdf`)
  })

  it('leaves no space before the extension when it cuts there', () => {
    expect(displayName(`a${' '.repeat(300)}b.pdf`)).toBe('a.pdf')
  })

  it('gives for any text a name that is safe, short and its own name', () => {
    fc.assert(
      fc.property(anyText(300), (given) => {
        const name = displayName(given)
        expect(name).not.toMatch(/^$|[/\\\p{Cc}]|[\s.\p{Cf}]$/u)
        expect(name.isWellFormed()).toBe(true)
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255)
        expect(displayName(name)).toBe(name)
      }),
    )
  })
})

describe('extensionOf', () => {
  it.each([
    ['a.pdf', 'pdf'],
    ['A.PDF', 'pdf'],
    ['a.tar.gz', 'gz'],
    ['a.b.mp4', 'mp4'],
    ['a', ''],
    ['a.', ''],
    ['.htaccess', ''],
    ['..gz', ''],
    ['a.报告', ''],
    ['a.with space', ''],
    ['a.abcdefghij', 'abcdefghij'],
    ['a.abcdefghijk', ''],
    ['', ''],
  ])('finds in %j the extension %j', (name, extension) => {
    expect(extensionOf(name)).toBe(extension)
  })
})

describe('shownExtension', () => {
  it.each([
    ['a.PDF', 'pdf'],
    ['a.exe.', 'exe'],
    ['a.exe. .\u00a0', 'exe'],
    ['a.exe\u200b', 'exe'],
    ['a.e\u200dx\u00ade', 'exe'],
    ['a. e xe', 'exe'],
    ['a\uff0e\uff45\uff58\uff45', 'exe'],
    ['a.exe\u3164', 'exe'],
    ['.htaccess', 'htaccess'],
    ['.exe', 'exe'],
    ['a.tar.gz', 'gz'],
    ['a.报告', ''],
    ['exe', ''],
    ['...', ''],
    ['', ''],
  ])('sees in %j the extension %j', (name, extension) => {
    expect(shownExtension(name)).toBe(extension)
  })
})

describe('slugName', () => {
  it.each([
    ['report.pdf', 'report', 'pdf'],
    ['报告.pdf', 'file', 'pdf'],
    ['a.tar.gz', 'a.tar', 'gz'],
    ['Résumé Müller.PDF', 'Resume-Muller', 'pdf'],
    ['ｆｕｌｌ.txt', 'full', 'txt'],
    ['a   b & c.txt', 'a-b-c', 'txt'],
    [`"it's" 50%.txt`, 'it-s-50', 'txt'],
    ['.htaccess', 'htaccess', ''],
    ['a..b.txt', 'a.b', 'txt'],
    ['--a--.txt', 'a', 'txt'],
    ['a_b-c.txt', 'a_b-c', 'txt'],
    ['😀', 'file', ''],
    ['..', 'file', ''],
    ['', 'file', ''],
  ])('makes of %j the base %j and the extension %j', (name, base, extension) => {
    expect(slugName(name)).toEqual({ base, extension })
  })

  it.each([
    ['con.txt', 'con_', 'txt'],
    ['CON', 'CON_', ''],
    ['nul.txt', 'nul_', 'txt'],
    ['COM1.pdf', 'COM1_', 'pdf'],
    ['.aux', 'aux_', ''],
    ['lpt9 .txt', 'lpt9_', 'txt'],
    ['console.txt', 'console', 'txt'],
    ['com10.txt', 'com10', 'txt'],
    ['a.con', 'a', 'con'],
    ['a__XLDIR__', 'a__XLDIR___', ''],
    ['a.b__XLDIR__', 'file', ''],
    ['a__XLDIR__.txt', 'a__XLDIR___', 'txt'],
  ])(
    'makes of %j the base %j, with an underscore where Windows or MinIO reserves the name',
    (name, base, extension) => {
      expect(slugName(name)).toEqual({ base, extension })
    },
  )

  it.each(['con.tar.gz', 'COM1.2026.pdf'])(
    'makes of %s, reserved up to its first dot, a base fit for a key',
    (name) => {
      expect(pathProblem(slugName(name).base)).toBeUndefined()
    },
  )

  it('cuts the base at 100 characters and leaves no dot or hyphen at its end', () => {
    expect(slugName(`${'a'.repeat(120)}.pdf`)).toEqual({ base: 'a'.repeat(100), extension: 'pdf' })
    expect(slugName(`${'a'.repeat(99)} b.pdf`).base).toBe('a'.repeat(99))
  })
})
