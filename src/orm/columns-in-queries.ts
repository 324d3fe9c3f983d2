import { type EntityMetadata, Equal, IsNull, Or, QueryBuilder, SelectQueryBuilder } from 'typeorm'
import type { FileField } from '../core/file-field.js'
import { recordProperties } from '../core/file-record.js'
import { isS3File, type S3File } from '../core/s3-file.js'
import { adaptsFirst } from './adapt-once.js'
import { fieldOfColumn } from './column-metadata.js'
import { isPlain, notAFile } from './file-value.js'

interface Select {
  selection: string
}

/** Methods of TypeORM's query builders that go through the properties of an embedded. */
interface Internals {
  expressionMap: {
    selects: Select[]
    aliases: { name: string; hasMetadata: boolean; metadata: EntityMetadata }[]
  }
  selects: string[]
  createPropertyPath(metadata: EntityMetadata, entity: object, prefix?: string): string[]
  getPredicates(where: object): Iterable<unknown>
  buildWhere(where: object, metadata: EntityMetadata, alias: string, embedPrefix?: string): string
  buildSelect(select: object | true, metadata: EntityMetadata, alias: string, embedPrefix?: string): void
  executeEntitiesAndRawResults(...args: unknown[]): Promise<unknown>
}

/** While TypeORM looks for the properties of criteria, and not for those of values to be written. */
let isOfCriteria = false

/** What builders select that are at work, as they were given it: one may be at work twice. */
const atWork = new WeakMap<object, { selects: Select[]; count: number }>()

/**
 * Makes query builders know the parts of a file in `layout: 'columns'`, once in a process: TypeORM takes the file for an
 * embedded, and goes by the properties that a file has of its own.
 */
export function adaptQueriesOfColumns(): void {
  const every = QueryBuilder.prototype as unknown as Internals
  if (!adaptsFirst(every)) return

  const { createPropertyPath, getPredicates } = every
  every.createPropertyPath = function (metadata, entity, prefix) {
    const files = filesInColumns(metadata)
    assertHasProperties(files.get(`${prefix}`), entity)
    if (isS3File(entity)) return isOfCriteria ? [`${prefix}.key`, `${prefix}.storage`] : partsOf(`${prefix}`)
    // TypeORM looks for no parts in what is no object.
    return createPropertyPath.call(this, metadata, entity, prefix).flatMap((path) => {
      const value = (entity as Record<string, unknown>)[prefix ? path.slice(prefix.length + 1) : path]
      if (value === undefined || !files.has(path)) return path
      assertHasProperties(files.get(path), value)
      return value === null ? partsOf(path) : path
    })
  }

  // In criteria a file stands for its object, as in `find()`: parts of it that are null are equal to nothing.
  every.getPredicates = function* (where) {
    isOfCriteria = true
    let predicates: unknown[]
    try {
      predicates = [...getPredicates.call(this, where)]
    } finally {
      isOfCriteria = false
    }
    yield* predicates
  }

  const selecting = SelectQueryBuilder.prototype as unknown as Internals
  const { buildWhere, buildSelect, executeEntitiesAndRawResults } = selecting
  selecting.buildWhere = function (where, metadata, alias, embedPrefix) {
    const field = filesInColumns(metadata).get(`${embedPrefix}`)
    assertHasProperties(field, where)
    const criteria = field !== undefined && isS3File(where) ? objectOf(field, where) : where
    return buildWhere.call(this, criteria, metadata, alias, embedPrefix)
  }
  // `select: { file: true }`, where TypeORM looks for parts.
  selecting.buildSelect = function (select, metadata, alias, embedPrefix) {
    const isFile = filesInColumns(metadata).has(`${embedPrefix}`)
    if (isFile && select === true) this.selects.push(`${alias}.${embedPrefix}`)
    else buildSelect.call(this, select, metadata, alias, embedPrefix)
  }
  // Only for this: a query for raw results gets what it asks for, and a count does not count what is added.
  selecting.executeEntitiesAndRawResults = async function (...args) {
    const { expressionMap } = this
    const own = atWork.get(expressionMap) ?? { selects: expressionMap.selects, count: 0 }
    atWork.set(expressionMap, own)
    own.count++
    expressionMap.selects = withWholeFiles(own.selects, expressionMap.aliases)
    try {
      return await executeEntitiesAndRawResults.apply(this, args)
    } finally {
      if (--own.count === 0) {
        atWork.delete(expressionMap)
        expressionMap.selects = own.selects
      }
    }
  }
}

/**
 * TypeORM goes by the properties of what is given for an embedded. Where there are none, as in a text or a Promise, it would
 * find every row, or write nothing.
 *
 * @throws UploadError `not-a-file`; ConfigurationError `invalid-value`.
 */
function assertHasProperties(field: FileField | undefined, value: unknown): void {
  if (field === undefined || value === null) return
  if (typeof value !== 'object' || (!isPlain(value) && Object.keys(value).length === 0))
    throw notAFile(field, value)
}

/** A row without a storage is read as one of the field's own. */
function objectOf({ rules }: FileField, { key, storage }: S3File): object {
  const isOwn = storage === (rules.storage ?? 'default')
  return { key, storage: isOwn ? Or(Equal(storage), IsNull()) : storage }
}

/** A file of which a part is selected is loaded whole: without its key it is none, and the other parts are not null. */
function withWholeFiles(selects: Select[], aliases: Internals['expressionMap']['aliases']): Select[] {
  const paths = new Set(selects.map(({ selection }) => selection))
  const files = aliases.flatMap((alias) =>
    alias.hasMetadata
      ? [...filesInColumns(alias.metadata).keys()].map((file) => `${alias.name}.${file}`)
      : [],
  )
  const added = files.flatMap((file) => {
    const parts = partsOf(file)
    const isSelected = paths.has(file) || parts.some((part) => paths.has(part))
    return isSelected ? parts.filter((part) => !paths.has(part)) : []
  })
  return [
    ...selects.filter(({ selection }) => !files.includes(selection)),
    ...added.map((selection) => ({ selection })),
  ]
}

function partsOf(file: string): string[] {
  return recordProperties.map((part) => `${file}.${part}`)
}

const filesByMetadata = new WeakMap<EntityMetadata, Map<string, FileField>>()

/** The files that have columns of their own, by path. */
function filesInColumns(metadata: EntityMetadata): Map<string, FileField> {
  let files = filesByMetadata.get(metadata)
  if (files === undefined) {
    files = new Map()
    for (const column of metadata.columns) {
      const field = fieldOfColumn(column)
      if (field !== undefined) files.set(`${column.embeddedMetadata?.propertyPath}`, field)
    }
    filesByMetadata.set(metadata, files)
  }
  return files
}
