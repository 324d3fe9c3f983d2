import { expectTypeOf } from 'vitest'
import {
  clamAvInspector,
  type FileInspector,
  type InspectedFile,
  type S3File,
  S3FileField,
  sha256Inspector,
  uploadFormFromRequest,
  uploadFromRequest,
  uploadFromStream,
} from '../../src/index.ts'

declare const request: unknown
declare function check(bytes: Buffer): Promise<boolean>
const bytes = Buffer.from('x')

/** With everything that an inspector can do. */
const full: FileInspector = async (file) => {
  expectTypeOf(file).toEqualTypeOf<InspectedFile>()
  if (file.contentType === 'application/zip') throw file.refusal('it is an archive', { hint: 'unpack it' })
  return {
    write: async (chunk) => {
      expectTypeOf(chunk).toEqualTypeOf<Buffer>()
      if (!(await check(chunk))) throw file.refusal('it is bad')
    },
    end: async () => ({ checksum: 'md5:abc' }),
    abort: () => undefined,
  }
}

/** With what it must have. */
const least: FileInspector = () => ({ write() {}, end() {} })

const sometimes: FileInspector = () => ({
  write: () => undefined,
  end: async () => ((await check(bytes)) ? { checksum: 'md5:abc' } : undefined),
})

export class Document {
  @S3FileField({ inspect: full })
  one!: S3File

  @S3FileField({
    inspect: [clamAvInspector({ host: 'clamd', port: 3310, timeoutSeconds: 5 }), sha256Inspector()],
  })
  several!: S3File

  // @ts-expect-error An inspector makes inspections, it is none.
  @S3FileField({ inspect: { write() {}, end() {} } })
  inspection!: S3File

  // @ts-expect-error The end must be said.
  @S3FileField({ inspect: () => ({ write() {} }) })
  endless!: S3File

  // @ts-expect-error A checksum is a text.
  @S3FileField({ inspect: () => ({ write() {}, end: () => ({ checksum: bytes }) }) })
  wrongChecksum!: S3File
}

export async function areTakenByTheVerbs(): Promise<void> {
  await uploadFromRequest(request, { into: [Document, 'one'], inspect: least })
  await uploadFormFromRequest(request, { inspect: [least, sometimes] })
  await uploadFromStream(bytes, { inspect: full })
  // @ts-expect-error A list of functions only.
  await uploadFromStream(bytes, { inspect: [least, 'clamav'] })
  // @ts-expect-error The unit is part of the name.
  clamAvInspector({ timeout: 5 })
}
