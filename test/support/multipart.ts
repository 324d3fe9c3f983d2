export const boundary = '----boundary7MA4YWxk'
export const formType = `multipart/form-data; boundary=${boundary}`

export interface FormPart {
  name: string
  /** With one it is a file, without a field. */
  filename?: string
  type?: string
  content: string | Uint8Array
}

/** The bytes of a form, put together by hand so that every byte is known. */
export function formBody(...parts: FormPart[]): Buffer {
  return Buffer.concat([
    ...parts.flatMap((part) => [partHead(part), Buffer.from(part.content as string), crlf]),
    formEnd,
  ])
}

const crlf = Buffer.from('\r\n')

/** What comes before a part's content. */
export function partHead({ name, filename, type }: Omit<FormPart, 'content'>): Buffer {
  const file = filename === undefined ? '' : `; filename="${filename}"`
  const contentType = type === undefined ? '' : `Content-Type: ${type}\r\n`
  return Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${contentType}\r\n`,
  )
}

export const formEnd = Buffer.from(`--${boundary}--\r\n`)

/** The same bytes for the same length, and different ones at every place. */
export function sampleBytes(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = 0x9e3779b9 ^ length
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    bytes[index] = state >>> 24
  }
  return bytes
}
