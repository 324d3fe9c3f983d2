import { UploadError } from '../core/errors.js'

/** What the headers of a part say of it. */
export interface PartHeader {
  /** Of the form field. */
  name: string
  /** As it was sent, path and all; undefined for a field, and for a file input in which nothing was chosen. */
  filename: string | undefined
  isFile: boolean
  /** In lower case, without parameters. */
  contentType: string
  charset: string
  /** The Content-Transfer-Encoding in lower case. */
  encoding: string
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+" // RFC 9110, 5.6.2
const headerLine = new RegExp(`^(${token}):[ \\t]*(.*)$`, 's')
const disposition = new RegExp(`^(${token})[ \\t]*`)
const mediaType = new RegExp(`^(${token}/${token})[ \\t]*`)
const parameter = new RegExp(`;[ \\t]*(${token})=(?:"((?:[^"\\\\]|\\\\.)*)"|([^ \\t;"]+))[ \\t]*`, 'y')
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const controlCharacter = /[\x00-\x08\x0a-\x1f\x7f]/

/**
 * Reads the headers of a part (RFC 7578), in UTF-8 as browsers send them.
 *
 * @param bytes all lines, without the last line end.
 * @throws UploadError `malformed-body`.
 */
export function parsePartHeader(bytes: Buffer): PartHeader {
  const headers = headersOf(bytes.toString())
  const parameters = parametersOf(headers.get('content-disposition') ?? '', disposition)
  if (parameters?.value !== 'form-data') throw malformed('says not that it is form-data')
  const name = parameters.get('name')
  if (name === undefined || name === '') throw malformed('names no field')
  const type = parametersOf(headers.get('content-type') ?? '', mediaType)
  const contentType = type?.value ?? 'text/plain'
  const filename = filenameOf(parameters)
  return {
    name,
    filename: filename === '' ? undefined : filename,
    isFile: (filename !== undefined && filename !== '') || contentType === 'application/octet-stream',
    contentType,
    charset: type?.get('charset') ?? 'utf-8',
    encoding: headers.get('content-transfer-encoding')?.trim().toLowerCase() ?? '7bit',
  }
}

/** The first of each name counts, as with parameters. */
function headersOf(text: string): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of text.replace(/\r\n(?=[ \t])/g, '').split('\r\n')) {
    const [, name, value] = headerLine.exec(line) ?? []
    if (name === undefined || value === undefined || controlCharacter.test(value)) {
      throw malformed('is malformed')
    }
    if (!headers.has(name.toLowerCase())) headers.set(name.toLowerCase(), value)
  }
  return headers
}

class Parameters extends Map<string, string> {
  constructor(readonly value: string) {
    super()
  }
}

/** `form-data; name="a"`: the value and its parameters; undefined when it is malformed. */
function parametersOf(text: string, start: RegExp): Parameters | undefined {
  const [all, value] = start.exec(text) ?? []
  if (all === undefined || value === undefined) return undefined
  const parameters = new Parameters(value.toLowerCase())
  parameter.lastIndex = all.length
  let end = all.length
  for (let match = parameter.exec(text); match !== null; match = parameter.exec(text)) {
    end = parameter.lastIndex
    const name = (match[1] as string).toLowerCase()
    // A backslash stands for itself before any other character: browsers send names as they are.
    const given = match[3] ?? (match[2] as string).replace(/\\(["\\])/g, '$1')
    if (!parameters.has(name)) parameters.set(name, given)
  }
  return /^;?[ \t]*$/.test(text.slice(end)) ? parameters : undefined
}

/** `filename*` (RFC 8187) says more than `filename`, if it can be read. */
function filenameOf(parameters: Parameters): string | undefined {
  const extended = parameters.get('filename*')
  const plain = parameters.get('filename')
  if (extended === undefined) return plain
  const name = extendedValue(extended)
  if (name === undefined && plain === undefined) throw malformed('has a file name that cannot be read')
  return name ?? plain
}

/** `UTF-8''%e2%82%ac.txt` → `€.txt` */
function extendedValue(text: string): string | undefined {
  const [, charset, value] = /^([^']*)'[^']*'((?:[^%]|%[0-9a-f]{2})*)$/i.exec(text) ?? []
  if (charset === undefined || value === undefined) return undefined
  const bytes = Buffer.from(
    value.replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  try {
    return new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined // An unknown charset, or bytes that are none of its characters.
  }
}

function malformed(what: string): UploadError {
  return new UploadError('malformed-body', `the header of a part of the form ${what}`)
}
