import type { EntityMetadata, QueryRunner, TableColumn } from 'typeorm'
import type { ColumnMetadata } from 'typeorm/metadata/ColumnMetadata.js'
import type { Finding } from '../core/finding.js'

/** Whether the database has these columns of an entity's table, and as the entity has them. */
export async function checkTable(
  runner: QueryRunner,
  metadata: EntityMetadata,
  columns: ColumnMetadata[],
): Promise<string | Omit<Finding, 'check'>> {
  const { driver } = runner.dataSource
  const table = await runner.getTable(metadata.tablePath)
  const fix =
    'npx typeorm migration:generate -d <file> src/migrations/Files && npx typeorm migration:run -d <file>'
  if (table === undefined)
    return { status: 'problem', message: `there is no table '${metadata.tablePath}' (${metadata.name})`, fix }
  const inDatabase = (column: ColumnMetadata) => table.findColumnByName(column.databaseName)
  const missing = columns.filter((column) => inDatabase(column) === undefined)
  if (missing.length > 0) {
    const names = missing.map(({ databaseName }) => `'${databaseName}'`).join(', ')
    return { status: 'problem', message: `table '${metadata.tablePath}' has no column ${names}`, fix }
  }
  const differing = driver.findChangedColumns(table.columns, columns)
  if (differing.length > 0) {
    const told = differing.map((column) => {
      const there = inDatabase(column) as TableColumn
      const wanted = describe(driver.normalizeType(column), driver.getColumnLength(column), column.isNullable)
      return `'${column.databaseName}' is ${describe(there.type, there.length, there.isNullable)}, not ${wanted}`
    })
    const isRefusing = differing.some((column) => column.isNullable && !inDatabase(column)?.isNullable)
    return {
      status: isRefusing ? 'problem' : 'warning',
      message: `table '${metadata.tablePath}' differs from ${metadata.name}: ${told.join(', ')}`,
      fix,
    }
  }
  return `table '${metadata.tablePath}' has the columns of ${metadata.name}: ${columns.map(({ databaseName }) => databaseName).join(', ')}`
}

function describe(type: string, length: string, isNullable: boolean): string {
  return `${type}${length === '' ? '' : `(${length})`}${isNullable ? '' : ' NOT NULL'}`
}
