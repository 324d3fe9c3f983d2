import type { EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm'
import { refId } from '../core/object-ref.js'
import type { S3File } from '../core/s3-file.js'
import { sharedState } from '../core/shared-state.js'
import { fileColumnsOf, filesOf } from './file-columns.js'
import { lockRows, rowId } from './row-files.js'

/** The row that a file was read from, or saved in. */
interface Source {
  metadata: EntityMetadata
  entity: ObjectLiteral
}

const sources = sharedState('sources', () => new WeakMap<S3File, Source>())

export function rememberSource(source: Source, files: S3File[]): void {
  for (const file of files) sources.set(file, source)
}

export function hasSource(file: S3File): boolean {
  return sources.has(file)
}

/** A file that has come into the row of an entity, and is another row's as well. */
export interface Copy extends Source {
  file: S3File
}

/**
 * Locks the rows that files were copied from, so that none of them lets its object go before the transaction ends.
 *
 * @returns the files that no other row was found to refer to: their objects may be gone.
 */
export async function holdSources(runner: QueryRunner, copies: Copy[]): Promise<S3File[]> {
  const loose = new Set(copies.map(({ file }) => file))
  const held = copies.flatMap(({ file, metadata, entity }) => {
    const source = sources.get(file)
    const id = source?.metadata.getEntityIdMap(source.entity)
    if (source === undefined || id === undefined) return []
    const isOwn = rowId(source.metadata, id) === rowId(metadata, metadata.getEntityIdMap(entity))
    return isOwn ? [] : [{ file, id, metadata: source.metadata }]
  })
  for (const metadata of new Set(held.map((copy) => copy.metadata))) {
    const ofEntity = held.filter((copy) => copy.metadata === metadata)
    const columns = fileColumnsOf(metadata)
    const ids = ofEntity.map(({ id }) => id)
    const rows = await lockRows(runner, metadata, columns, ids, 'pessimistic_read')
    for (const { file, id } of ofEntity) {
      const row = rows.get(rowId(metadata, id))
      const files = columns.flatMap((column) => (row && filesOf(column, row)) ?? [])
      if (files.some((other) => refId(other) === refId(file))) loose.delete(file)
    }
  }
  return [...loose]
}
