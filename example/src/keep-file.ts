import type { Repository } from 'typeorm'
import type { S3File } from 'typeorm-s3-file'
import type { Document } from './document.js'

/**
 * Saves the document with another file. The row decides: the old object goes once no row refers to it, and the new
 * one goes when the row does not come to be.
 */
export async function saveWithFile(
  documents: Repository<Document>,
  document: Document,
  file: S3File,
): Promise<void> {
  const previous = document.file
  document.file = file
  try {
    await documents.save(document)
  } catch (error) {
    await discard(file)
    throw error
  }
  await discard(previous)
}

export async function removeWithFile(documents: Repository<Document>, document: Document): Promise<void> {
  await documents.remove(document)
  await discard(document.file)
}

/** The row is settled by now, so an object that stays behind is a matter for the log, not for the client. */
async function discard(file: S3File | null | undefined): Promise<void> {
  try {
    await file?.discard()
  } catch (error) {
    console.error(`could not delete '${file?.key}':`, error)
  }
}
