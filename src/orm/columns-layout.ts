import { Column, type ColumnOptions, getMetadataArgsStorage, type ValueTransformer } from 'typeorm'
import type { FileField } from '../core/file-field.js'
import type { FileRecord } from '../core/file-record.js'
import { maxKeyBytes } from '../core/object-key.js'
import { adaptColumnMetadata, markColumnsClass } from './column-metadata.js'
import { adaptQueriesOfColumns } from './columns-in-queries.js'

/** The columns, by record property. The key comes last: by then the rest of the row's record is known. */
const columnOptions: Record<keyof FileRecord, ColumnOptions> = {
  name: { type: 'varchar', length: 255 },
  size: { type: 'bigint', transformer: bigintTransformer() },
  contentType: { type: 'varchar', length: 255 },
  etag: { type: 'varchar', length: 255 },
  checksum: { type: 'varchar', length: 255 },
  uploadedAt: { type: 'varchar', length: 24, transformer: dateTransformer() },
  storage: { type: 'varchar', length: 100 },
  key: { type: 'varchar', length: maxKeyBytes },
}

/**
 * `layout: 'columns'`: TypeORM sees an embedded with a column for each part of the record, so `where`, `order` and
 * `select` reach them as `{ file: { size: MoreThan(0) } }`; the entity holds an `S3File` or null all the same.
 */
export function defineColumns(
  owner: object,
  property: string,
  field: FileField,
  options: ColumnOptions,
): void {
  class FileColumns {}
  const { name, nullable, select, ...keyOptions } = options
  for (const [part, partOptions] of Object.entries(columnOptions)) {
    const isKey = part === 'key'
    const common = {
      ...partOptions,
      nullable: !isKey || nullable === true,
      ...(select === undefined ? {} : { select }),
    }
    Column(isKey ? { ...common, ...keyOptions } : common)(FileColumns.prototype, part)
  }
  getMetadataArgsStorage().embeddeds.push({
    target: owner as never,
    propertyName: property,
    isArray: false,
    ...(name === undefined ? {} : { prefix: name }),
    type: () => FileColumns,
  })
  markColumnsClass(FileColumns, field)
  adaptColumnMetadata()
  adaptQueriesOfColumns()
}

/** Drivers give a bigint as text. */
function bigintTransformer(): ValueTransformer {
  return { to: (value) => value, from: (raw: string | number | null) => (raw === null ? null : Number(raw)) }
}

/** Kept as ISO 8601 in UTC: it sorts, and no driver moves it to another time zone. */
function dateTransformer(): ValueTransformer {
  return {
    to: (value: unknown) => (value instanceof Date ? value.toISOString() : value),
    from: (raw: string | null) => raw,
  }
}
