import type { EntityMetadata, ObjectLiteral } from 'typeorm'
import { dataSourceOf } from './typeorm-versions.js'

/**
 * The same text for the same row, and another one for another row: whatever its key is made of (numbers, dates, bytes,
 * value objects with a transformer), and whether it was loaded or given.
 *
 * @returns undefined for what has no whole primary key.
 */
export function rowId(metadata: EntityMetadata, entity: ObjectLiteral): string | undefined {
  const { driver } = dataSourceOf(metadata)
  const parts: string[] = []
  for (const column of metadata.primaryColumns) {
    const value: unknown = column.getEntityValue(entity)
    if (value === undefined || value === null) return undefined
    parts.push(textOf(driver.preparePersistentValue(value, column)))
  }
  return `${metadata.tablePath} ${JSON.stringify(parts)}`
}

function textOf(value: unknown): string {
  if (ArrayBuffer.isView(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
  }
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
