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

export async function takesAPropertyForEachFormField(): Promise<void> {
  const into = { photo: [Document, 'cover'], attachment: [AbstractDocument, 'file'] } as const
  expectTypeOf(await uploadFormFromRequest(request, { into })).toEqualTypeOf<UploadedForm>()
  await uploadFormFromRequest(request, {
    into: { photo: [Document, 'cover'], pages: [Document, 'pages'], other: [AbstractDocument, 'file'] },
    maxSizeBytes: 5,
  })
  await uploadFormFromRequest(request, {
    // @ts-expect-error A text is no file.
    into: { photo: [Document, 'cover'], title: [Document, 'title'] },
  })
  await uploadFormFromRequest(request, {
    // @ts-expect-error That is a property of the other entity.
    into: { photo: [Document, 'cover'], other: [AbstractDocument, 'cover'] },
  })
  // @ts-expect-error One file has one place.
  await uploadFromRequest(request, { into: { photo: [Document, 'cover'] } })
}

export async function takesAnAbstractEntity(): Promise<void> {
  await uploadFromRequest(request, { into: [AbstractDocument, 'file'] })
}

export async function takesAnEntitySchema(): Promise<void> {
  const schema = new EntitySchema<Document>({ name: 'document', columns: { file: s3FileColumn() } })
  await uploadFromRequest<Document>(request, { into: [schema, 'file'] })
  await uploadFromRequest(request, { into: [schema, 'file'] })
}
