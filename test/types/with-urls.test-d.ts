import { expectTypeOf } from 'vitest'
import { type FileWithUrl, type S3File, withUrls } from '../../src/index.ts'

declare class Author {
  id: number
  books: Promise<Document[]>
}

declare class Document {
  id: bigint
  title: string
  createdAt: Date
  deletedAt: Date | null
  file: S3File
  cover: S3File | null
  scan?: S3File
  pages: S3File[]
  parts: { file: S3File | null; numbers: number[] }[]
  author: Author
  state: 'draft' | 'final'
  rename(title: string): void
}

declare const document: Document
declare const maybe: Document | null

export async function replacesFilesAndWhatJsonCannotSay(): Promise<void> {
  expectTypeOf(await withUrls(document)).toEqualTypeOf<{
    id: string
    title: string
    createdAt: string
    deletedAt: string | null
    file: FileWithUrl
    cover: FileWithUrl | null
    scan?: FileWithUrl
    pages: FileWithUrl[]
    parts: { file: FileWithUrl | null; numbers: number[] }[]
    author: { id: number }
    state: 'draft' | 'final'
  }>()
}

export async function takesListsAndWhatMayBeMissing(): Promise<void> {
  expectTypeOf((await withUrls([document]))[0]?.file).toEqualTypeOf<FileWithUrl | undefined>()
  expectTypeOf((await withUrls(maybe))?.cover).toEqualTypeOf<FileWithUrl | null | undefined>()
  expectTypeOf(await withUrls(document.file)).toEqualTypeOf<FileWithUrl>()
  expectTypeOf(await withUrls({ items: [document], total: 1 }))
    .toHaveProperty('total')
    .toEqualTypeOf<number>()
}

export async function takesMapsAndSets(): Promise<void> {
  const byName = new Map<string, Document>()
  expectTypeOf((await withUrls(byName)).a?.file).toEqualTypeOf<FileWithUrl | undefined>()
  expectTypeOf(await withUrls(new Set<S3File>())).toEqualTypeOf<FileWithUrl[]>()
}

export async function knowsWhatIsLeftOut(): Promise<void> {
  const copy = await withUrls(document)
  // @ts-expect-error Functions are left out.
  copy.rename('x')
  // @ts-expect-error Lazy relations are left out.
  copy.author.books
  // @ts-expect-error A copy has no keys of objects.
  copy.file.key
}

export async function takesTheOptionsOfAUrl(): Promise<void> {
  await withUrls(document, { expiresInSeconds: 60, disposition: 'inline' })
  // @ts-expect-error The unit is part of the name.
  await withUrls(document, { expiresIn: 60 })
  // @ts-expect-error There are two dispositions.
  await document.file.url({ disposition: 'download' })
  // @ts-expect-error A file does not change.
  document.file.key = 'other'
}
