import busboy, { type BusboyConfig } from 'busboy'
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
  /** The Content-Transfer-Encoding in lower case. */
  encoding: string
}

const boundary = 'typeorm-s3-file-part-header'
const config = {
  headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  defParamCharset: 'utf8', // As browsers send names.
  preservePath: true,
} satisfies BusboyConfig
const endOfPart = Buffer.from(`\r\n\r\n\r\n--${boundary}\r\n`)

/** One busboy reads the headers of all parts as one form that never ends: to begin it takes longer than to read them. */
let reader: HeaderReader | undefined

/**
 * Reads the headers of a part (RFC 7578): to busboy they are a part without content.
 *
 * @param bytes all lines, without the last line end.
 * @throws UploadError `malformed-body`, also for what busboy passes over.
 */
export function parsePartHeader(bytes: Buffer): PartHeader {
  if (bytes.includes(boundary)) throw malformed()
  reader ??= new HeaderReader()
  const header = reader.read(bytes)
  if (header !== undefined) return header
  reader = undefined // Nobody knows what it makes of the next one.
  throw malformed()
}

class HeaderReader {
  readonly #parser = busboy(config)
  #header: PartHeader | undefined

  constructor() {
    const found = (isFile: boolean, name: string | undefined, info: Omit<busboy.FileInfo, 'filename'>) => {
      if (!name) return
      const { filename } = info as Partial<busboy.FileInfo>
      this.#header = { name, filename, isFile, contentType: info.mimeType, encoding: info.encoding.trim() }
    }
    this.#parser
      .on('file', (name, stream, info) => {
        stream.on('error', () => undefined).resume()
        found(true, name, info)
      })
      .on('field', (name, _value, info) => found(false, name, info))
      .on('error', () => undefined) // Then there is no header.
      .write(`--${boundary}\r\n`)
  }

  /** Busboy tells all of it before this returns. */
  read(bytes: Buffer): PartHeader | undefined {
    this.#header = undefined
    this.#parser.write(Buffer.concat([bytes, endOfPart]))
    return this.#header
  }
}

function malformed(): UploadError {
  return new UploadError(
    'malformed-body',
    'the header of a part of the form is malformed, or names no field of a form',
  )
}
