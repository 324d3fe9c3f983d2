import { UploadError } from '../core/errors.js'
import { isTextType } from '../core/media-types.js'
import { decodeText } from './decode-text.js'
import { parseMediaType } from './parse-media-type.js'

/** What the headers of a part say of it. */
export interface PartHeader {
  /** Of the form field. */
  name: string
  /** As it was sent, path and all; undefined for a field, and for a file that has no name. */
  filename: string | undefined
  isFile: boolean
  /** In lower case, without parameters. */
  contentType: string
  /** The charset parameter of the Content-Type, where there is one. */
  charset: string | undefined
  /** The Content-Transfer-Encoding in lower case. */
  encoding: string
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+" // RFC 9110, 5.6.2
const headerLine = new RegExp(`^(${token}):[ \\t]*(.*)$`, 's')
/** All of them but the tab; above U+007F they are only unusual. */
const controlCharacter = /[^\P{Cc}\t\u0080-\u009f]/u
/** `form-data` has four of them. Thousands fit into a header, and take long to read. */
const mostParameters = 32
const formData = /^form-data[ \t]*(?=;|$)/i

interface Dialect {
  parameter: RegExp
  textOf: (quoted: string) => string
}

/**
 * The two ways in which clients write a quoted string: those that escape a quote with a backslash, and browsers, for which
 * a backslash is a character like any other, also as the last one of a name. What is read in the first way and comes to
 * no end is read in the second.
 */
const dialects: readonly Dialect[] = [
  {
    parameter: parameterWith('(?:[^"\\\\]|\\\\.)*'),
    // Before any other character browsers mean the backslash itself: `C:\temp\a.txt`.
    textOf: (quoted) => quoted.replace(/\\(["\\])/g, '$1'),
  },
  { parameter: parameterWith('[^"]*'), textOf: (quoted) => quoted },
]

/**
 * A parameter, or nothing behind semicolons. An extended one (`filename*`) ends at a blank only: React Native leaves
 * semicolons in its value as they are.
 */
function parameterWith(quoted: string): RegExp {
  const extended = `(?<extendedName>${token}\\*)=(?!")(?<extended>[^ \\t"]*)(?<!;)`
  const plain = `(?<name>${token})[ \\t]*=[ \\t]*(?:"(?<quoted>${quoted})"|(?<unquoted>[^ \\t;"]*))`
  return new RegExp(`;[; \\t]*(?:(?:${extended}|${plain})[ \\t]*)?`, 'gy')
}

/**
 * Reads the headers of a part (RFC 7578), whose text is UTF-8.
 *
 * @param bytes all lines, without the last line end.
 * @throws UploadError `malformed-body`.
 */
export function parsePartHeader(bytes: Buffer): PartHeader {
  const headers = headersOf(bytes.toString())
  const parameters = parametersOf(headers?.get('content-disposition') ?? '')
  const name = parameters && parameterOf(parameters, 'name')
  if (headers === undefined || parameters === undefined || !name) throw malformed()
  const type = parseMediaType(headers.get('content-type'))
  const contentType = type?.essence ?? 'text/plain'
  const isNamed = parameters.has('filename') || parameters.has('filename*')
  return {
    name,
    filename: parameterOf(parameters, 'filename') || undefined,
    isFile: isNamed || !isTextType(contentType), // RFC 7578, 4.2: a file need not have a name.
    contentType,
    charset: type?.parameters.get('charset'),
    encoding: headers.get('content-transfer-encoding')?.trim().toLowerCase() ?? '7bit',
  }
}

/** By name in lower case, the first of each; undefined when a line is no header. */
function headersOf(text: string): Map<string, string> | undefined {
  const headers = new Map<string, string>()
  for (const line of text.replace(/\r\n(?=[ \t])/g, '').split('\r\n')) {
    const [, name, value] = headerLine.exec(line) ?? []
    if (name === undefined || value === undefined || controlCharacter.test(value)) return undefined
    if (!headers.has(name.toLowerCase())) headers.set(name.toLowerCase(), value)
  }
  return headers
}

/** Those of `form-data; name="a"`, the first of each name; undefined when it is malformed. */
function parametersOf(disposition: string): Map<string, string> | undefined {
  const start = formData.exec(disposition)?.[0]
  if (start === undefined) return undefined
  const text = disposition.slice(start.length)
  for (const { parameter, textOf } of dialects) {
    const parameters = new Map<string, string>()
    let end = 0
    let count = 0
    for (const match of text.matchAll(parameter)) {
      if (++count > mostParameters) return undefined
      end = match.index + match[0].length
      const { extendedName, extended, name = extendedName, quoted, unquoted } = match.groups as Groups
      const value = quoted === undefined ? (extended ?? unquoted) : unpercent(textOf(quoted))
      const key = name?.toLowerCase()
      if (key !== undefined && value !== undefined && !parameters.has(key)) parameters.set(key, value)
    }
    if (end === text.length) return parameters
  }
  return undefined
}

type Groups = Record<'extendedName' | 'extended' | 'name' | 'quoted' | 'unquoted', string | undefined>

/** As the HTML standard writes these three characters in names, and no other. */
function unpercent(text: string): string {
  return text.replace(/%(?:22|0d|0a)/gi, (code) => decodeURIComponent(code))
}

/** The extended parameter, where it can be read: .NET says the name there only. Otherwise the plain one. */
function parameterOf(parameters: Map<string, string>, name: string): string | undefined {
  return extendedText(parameters.get(`${name}*`)) ?? parameters.get(name)
}

/** RFC 8187: `UTF-8''%e2%82%ac.txt` is `€.txt`; undefined for what is not written so. */
function extendedText(value: string | undefined): string | undefined {
  const [, charset, text] = /^([^']+)'[^']*'((?:[\w!#$&+.^`|~-]|%[\da-f]{2})*)$/i.exec(value ?? '') ?? []
  if (charset === undefined || text === undefined) return undefined
  const bytes = text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  try {
    return decodeText(Buffer.from(bytes, 'latin1'), charset, { fatal: true })
  } catch {
    return undefined // An unknown charset, or bytes that are none of its characters.
  }
}

function malformed(): UploadError {
  return new UploadError(
    'malformed-body',
    'the header of a part of the form is malformed, or names no field of a form',
  )
}
