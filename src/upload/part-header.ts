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

/**
 * Reads the headers of a part (RFC 7578): to busboy they are a form of their own, whose only part has no content.
 *
 * @param bytes all lines, without the last line end.
 * @throws UploadError `malformed-body`, also for what busboy passes over.
 */
export function parsePartHeader(bytes: Buffer): PartHeader {
  if (bytes.includes(boundary)) throw malformed()
  let header: PartHeader | undefined
  const found = (isFile: boolean, name: string | undefined, info: Omit<busboy.FileInfo, 'filename'>) => {
    if (!name) return
    const { filename } = info as Partial<busboy.FileInfo>
    header = { name, filename, isFile, contentType: info.mimeType, encoding: info.encoding.trim() }
  }
  const parser = busboy(config)
    .on('file', (name, stream, info) => {
      stream.on('error', () => undefined).resume()
      found(true, name, info)
    })
    .on('field', (name, _value, info) => found(false, name, info))
    .on('error', () => undefined) // Then there is no header.
  // All of it is told before this returns.
  parser.write(`--${boundary}\r\n`)
  parser.write(bytes)
  parser.write(`\r\n\r\n\r\n--${boundary}--\r\n`)
  parser.destroy()
  if (header === undefined) throw malformed()
  return header
}

function malformed(): UploadError {
  return new UploadError(
    'malformed-body',
    'the header of a part of the form is malformed, or names no field of a form',
  )
}
