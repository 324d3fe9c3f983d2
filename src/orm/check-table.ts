import type { EntityMetadata, QueryRunner, TableColumn } from 'typeorm'
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import type { Finding } from '../core/finding.js'
import { fileColumnsOf } from './file-columns.js'
import { type Dialect, dialectOf, tableName } from './file-sql.js'
import { dataSourceOf } from './typeorm-versions.js'

/** Not followed by `migration:run`: the migration may drop columns. */
const generate =
  'npx typeorm migration:generate -d <file> src/migrations/Files. Read the migration before you run it: a DROP COLUMN ' +
  'deletes all keys in that column'

/** Types of a column of the database that `column: { type }` of a JSON field can name. */
const textTypes = ['json', 'jsonb', 'text', 'mediumtext', 'longtext', 'varchar', 'character varying']

/** Whether the database has these columns of an entity's table, and as the entity has them. */
export async function checkTable(
  runner: QueryRunner,
  metadata: EntityMetadata,
  columns: ColumnMetadata[],
): Promise<string | Omit<Finding, 'check'>> {
  const { driver } = dataSourceOf(runner)
  const { tablePath, name } = metadata
  const table = await runner.getTable(tablePath)
  if (table === undefined)
    return { status: 'problem', message: `there is no table '${tablePath}' (${name})`, fix: generate }
  const inDatabase = (column: ColumnMetadata) => table.findColumnByName(column.databaseName)
  const missing = columns.filter((column) => inDatabase(column) === undefined)
  if (missing.length > 0) {
    const names = missing.map(({ databaseName }) => `'${databaseName}'`).join(', ')
    return { status: 'problem', message: `table '${tablePath}' has no column ${names}`, fix: generate }
  }
  const differing = driver
    .findChangedColumns(table.columns, columns)
    .map((column) => differenceOf(column, inDatabase(column) as TableColumn))
  if (differing.length > 0) {
    const isRefusing = differing.some(({ column, there }) => column.isNullable && !there.isNullable)
    return {
      status: isRefusing ? 'problem' : 'warning',
      message: `table '${tablePath}' differs from ${name}: ${differing.map(({ message }) => message).join(', ')}`,
      fix: fixOf(metadata, differing),
    }
  }
  return `table '${tablePath}' has the columns of ${name}: ${columns.map(({ databaseName }) => databaseName).join(', ')}`
}

interface Difference {
  column: ColumnMetadata
  there: TableColumn
  message: string
  /** The type that the entity has, with its length. */
  wantedType: string
  /** Whether type or length differ: TypeORM then drops the column and adds it again. */
  isDropped: boolean
}

function differenceOf(column: ColumnMetadata, there: TableColumn): Difference {
  const dataSource = dataSourceOf(column.entityMetadata)
  const { driver } = dataSource
  const wantedType = withLength(driver.normalizeType(column), driver.getColumnLength(column))
  const thereType = withLength(there.type, there.length)
  const nullability = (isNullable: boolean) => (isNullable ? '' : ' NOT NULL')
  const is = thereType + nullability(there.isNullable)
  const wanted = wantedType + nullability(column.isNullable)
  const how = is === wanted ? 'has another default, comment or constraint' : `is ${is}, not ${wanted}`
  return {
    column,
    there,
    message: `'${column.databaseName}' ${how}`,
    wantedType,
    isDropped: wantedType !== thereType && dialectOf(dataSource) !== 'sqlite',
  }
}

function withLength(type: string, length: string): string {
  return `${type}${length === '' ? '' : `(${length})`}`
}

/** The option that makes the entity fit the table, and what makes the table fit the entity and keeps its values. */
function fixOf(metadata: EntityMetadata, differing: readonly Difference[]): string {
  const options = differing.flatMap((difference) => optionOf(metadata, difference) ?? [])
  const dropped = differing.filter(({ isDropped }) => isDropped)
  const matching = options.length === 0 ? [] : [`To keep the table as it is: ${options.join(', ')}.`]
  if (dropped.length === 0) return [...matching, `To change the table: ${generate}`].join(' ')
  const names = dropped.map(({ column }) => `'${column.databaseName}'`).join(', ')
  return [
    ...matching,
    `To change the table, write the statement yourself: ${dropped.map(alterStatement).join('; ')}.`,
    `Do not run migration:generate or synchronize for it: TypeORM drops ${names} and adds it again, which deletes all ` +
      'values in it',
  ].join(' ')
}

/** The options of the field that a column of the table is the one of; undefined where no option gives it. */
function optionOf(metadata: EntityMetadata, { column, there }: Difference): string | undefined {
  const file = fileColumnsOf(metadata).find(({ parts }) => parts.includes(column))
  // The other parts of `layout: 'columns'` are as they are.
  if (file === undefined || file.column !== column) return undefined
  const { driver } = dataSourceOf(metadata)
  const isOtherType = there.type !== driver.normalizeType(column)
  if (isOtherType && (file.field.layout !== 'json' || !textTypes.includes(there.type))) return undefined
  const own = [
    ...(isOtherType ? [`type: '${there.type === 'character varying' ? 'varchar' : there.type}'`] : []),
    ...(there.length === driver.getColumnLength(column) ? [] : [`length: ${there.length || undefined}`]),
  ]
  const options = [
    ...(there.isNullable === column.isNullable ? [] : [`nullable: ${there.isNullable}`]),
    ...(own.length === 0 ? [] : [`column: { ${own.join(', ')} }`]),
  ]
  return options.length === 0 ? undefined : `${options.join(', ')} of ${metadata.name}.${file.propertyPath}`
}

function alterStatement({ column, wantedType }: Difference): string {
  const { entityMetadata, databaseName, isNullable } = column
  const dataSource = dataSourceOf(entityMetadata)
  const name = dataSource.driver.escape(databaseName)
  const kinds: Record<Dialect, string> = {
    postgres: `ALTER COLUMN ${name} TYPE ${wantedType} USING ${name}::${wantedType}`,
    mysql: `MODIFY ${name} ${wantedType}${isNullable ? ' NULL' : ' NOT NULL'}`,
    sqlite: '',
  }
  return `ALTER TABLE ${tableName(dataSource, entityMetadata)} ${kinds[dialectOf(dataSource)]}`
}
