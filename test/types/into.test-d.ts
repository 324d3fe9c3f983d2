import { EntitySchema } from 'typeorm'
import { expectTypeOf } from 'vitest'
import {
  type S3File,
  s3FileColumn,
  type UploadedForm,
  uploadFormFromRequest,
  uploadFromRequest,
  uploadFromStream,
} from '../../src/index.ts'

declare class Base {
  scan?: S3File
}

declare class Document extends Base {
  id: string
  file: S3File | null
  cover: S3File
  title: string | null
  pages: S3File[]
  tags: string[]
  nothing: null
  get downloadUrl(): Promise<string> | undefined
}

declare abstract class AbstractDocument {
  file: S3File
}

declare const request: unknown
const bytes = Buffer.from('x')

export async function takesFilePropertiesOfTheEntity(): Promise<void> {
  expectTypeOf(await uploadFromRequest(request, { into: [Document, 'file'] })).toEqualTypeOf<S3File>()
  expectTypeOf(
    await uploadFormFromRequest(request, { into: [Document, 'cover'] }),
  ).toEqualTypeOf<UploadedForm>()
  expectTypeOf(await uploadFromStream(bytes, { into: [Document, 'scan'] })).toEqualTypeOf<S3File>()
  expectTypeOf(await uploadFromRequest(request, { into: [Document, 'pages'] })).toEqualTypeOf<S3File>()
  await uploadFromRequest(request, { into: [Document, 'file'], maxSizeBytes: 5, accept: ['image/*'] })
}

export async function takesNoOtherPropertiesOfTheEntity(): Promise<void> {
  // @ts-expect-error A text is no file.
  await uploadFromRequest(request, { into: [Document, 'title'] })
  // @ts-expect-error A list of texts is no list of files.
  await uploadFromRequest(request, { into: [Document, 'tags'] })
  // @ts-expect-error Null alone is no file.
  await uploadFromRequest(request, { into: [Document, 'nothing'] })
  // @ts-expect-error An accessor of something else is no file.
  await uploadFromRequest(request, { into: [Document, 'downloadUrl'] })
  // @ts-expect-error There is no such property.
  await uploadFromRequest(request, { into: [Document, 'flie'] })
  // @ts-expect-error The property is missing.
  await uploadFromRequest(request, { into: [Document] })
  // @ts-expect-error An instance is no entity.
  await uploadFromStream(bytes, { into: [{} as Document, 'file'] })
}

export async function takesAnAbstractEntity(): Promise<void> {
  await uploadFromRequest(request, { into: [AbstractDocument, 'file'] })
}

export async function takesAnEntitySchema(): Promise<void> {
  const schema = new EntitySchema<Document>({ name: 'document', columns: { file: s3FileColumn() } })
  await uploadFromRequest<Document>(request, { into: [schema, 'file'] })
  await uploadFromRequest(request, { into: [schema, 'file'] })
}
