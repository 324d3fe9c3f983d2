import { beforeEach, describe, expect, it } from 'vitest'
import type { S3FileError } from '../../src/core/errors.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import {
  type UploadRequestOptions,
  uploadFormFromRequest,
  uploadFromRequest,
} from '../../src/upload/upload-from-request.ts'
import { boundary, formEnd, formType } from '../support/multipart.ts'

const storage = new MemoryStorage()
beforeEach(() => configureStorages({ default: storage }))

type Part = [header: string, content: string | Buffer]

function requestOf(parts: Part[], headers: Record<string, string> = {}): Request {
  const pieces = parts.flatMap(([header, content]) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${header}\r\n\r\n`),
    Buffer.from(content as string),
    Buffer.from('\r\n'),
  ])
  const body = Buffer.concat([...pieces, formEnd])
  return new Request('http://form/', {
    method: 'POST',
    body,
    headers: { 'content-type': formType, ...headers },
  })
}

const readForm = (parts: Part[], options: UploadRequestOptions = {}) =>
  uploadFormFromRequest(requestOf(parts), options)

async function refusal(outcome: Promise<unknown>): Promise<S3FileError> {
  return outcome.then(
    () => expect.unreachable(),
    (error) => error,
  )
}

describe('a text field', () => {
  it.each([
    ['ISO-8859-1', Buffer.from([0x50, 0x72, 0xfc, 0x66, 0x75, 0x6e, 0x67]), 'Prüfung'],
    ['windows-1252', Buffer.from([0x80, 0x20, 0x93, 0x94]), '€ “”'],
    ['UTF-16LE', Buffer.from('报告 😀', 'utf16le'), '报告 😀'],
    ['"utf-8"', Buffer.from('报告'), '报告'],
    ['klingon', Buffer.from('报告'), '报告'],
  ])('is read in the charset that its part says: %s', async (charset, content, text) => {
    const { fields } = await readForm([[`name="a"\r\nContent-Type: text/plain; charset=${charset}`, content]])
    expect(fields.a).toEqual([text])
  })

  it('has the name that the client gave it, with the characters that browsers write with a percent sign', async () => {
    const { fields } = await readForm([['name="a%22b%0D%0Ac%41"', 'x']])
    expect(Object.keys(fields)).toEqual(['a"b\r\nc%41'])
  })
})

describe('a file without a name', () => {
  const bytes = Buffer.from([0x89, 0xff, 0x00, 0xfe])

  it.each([
    ['name="f"\r\nContent-Type: application/octet-stream'],
    ['name="f"\r\nContent-Type: image/png'],
    ['name="f"; filename=""'],
    ['name="f"; filename*=utf-8\'\'%zz'],
  ])('is a file called "file": %s', async (header) => {
    const { files, fields } = await readForm([[header, bytes]])
    expect(fields).toEqual({})
    expect(files.f?.map(({ name, size }) => [name, size])).toEqual([['file', 4]])
    expect(storage.objects.get(files.f?.[0]?.key ?? '')?.bytes).toEqual(bytes)
  })

  it('counts as a file', async () => {
    const part: Part = ['name="f"\r\nContent-Type: image/png', bytes]
    expect(await refusal(uploadFromRequest(requestOf([part, part])))).toMatchObject({
      code: 'too-many-files',
    })
  })

  it('and without bytes is an input in which nothing was chosen', async () => {
    const empty: Part = ['name="f"; filename=""\r\nContent-Type: application/octet-stream', '']
    const { files } = await readForm([empty, empty, ['name="f"; filename="a"', bytes]], {
      limits: { files: 1 },
    })
    expect(files.f).toHaveLength(1)
  })

  it('is refused like any other when it is sent in base64', async () => {
    const part: Part = ['name="f"; filename=""\r\nContent-Transfer-Encoding: base64', 'AAAA']
    expect(await refusal(readForm([part]))).toMatchObject({ code: 'malformed-body' })
  })
})

describe('a form without the file that is meant', () => {
  const text: Part = ['name="cv"', 'bytes of a file']
  const other: Part = ['name="note"', 'x']

  it('names the field that came as text', async () => {
    const error = await refusal(uploadFromRequest(requestOf([other, text]), { field: 'cv' }))
    expect(error).toMatchObject({ code: 'no-file', context: { field: 'cv', textFields: ['cv'] } })
    expect(error.message).toBe(
      "the form has no file in field 'cv'; 'cv' came as text: send a file with a filename, " +
        'or with a Content-Type that is not text',
    )
  })

  it('names all text fields where a file of any field is meant', async () => {
    const { message } = await refusal(uploadFromRequest(requestOf([other, text, text])))
    expect(message).toContain("the form has no file; 'note', 'cv' came as text")
  })

  it('says no more where there is no such field', async () => {
    const { message } = await refusal(uploadFromRequest(requestOf([other]), { field: 'cv' }))
    expect(message).toBe("the form has no file in field 'cv'")
  })
})

it('takes an empty Content-Encoding for none', async () => {
  const file = await uploadFromRequest(
    requestOf([['name="f"; filename="a"', 'x']], { 'content-encoding': '' }),
  )
  expect(file.size).toBe(1)
})

it('a line end in a name writes no line of its own into an error', async () => {
  const error = await refusal(
    uploadFromRequest(requestOf([['name="a%0D%0AERROR: forged"; filename="x"', 'x']]), { field: 'cv' }),
  )
  expect(error.code).toBe('unexpected-field')
  expect(error.message).toContain("'a ERROR: forged'")
})
