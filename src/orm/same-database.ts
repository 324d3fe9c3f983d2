import type { DataSource, EntityMetadata } from 'typeorm'
import { dataSourceOf } from './typeorm-versions.js'

/** Whether two DataSources are on one database, such as a pool for requests and one for jobs. */
export function isSameDatabase(left: DataSource, right: DataSource): boolean {
  return left === right || (placeOf(left) !== undefined && placeOf(left) === placeOf(right))
}

/** Database, schema and table of an entity, however many DataSources are on it; undefined for a database in memory. */
export function placeOfTable(metadata: EntityMetadata): string | undefined {
  const { schema, database, tableName } = metadata
  const dataSource = dataSourceOf(metadata)
  const place = placeOf(dataSource)
  const { driver } = dataSource
  const ownSchema = schema ?? driver.schema ?? (driver as { searchSchema?: string }).searchSchema
  return place && JSON.stringify([place, database ?? driver.database, ownSchema, tableName])
}

/** Undefined for a database in memory: each DataSource has its own. */
function placeOf({ options }: DataSource): string | undefined {
  const { replication, ...direct } = options as unknown as { replication?: { master?: object } }
  const { type, url, host, port, socketPath, database, driver, extra } = {
    ...direct,
    ...replication?.master,
  } as Record<string, unknown>
  if (type === 'sqljs' || database === ':memory:' || (type === 'better-sqlite3' && database === ''))
    return undefined
  // PGlite is a driver of its own in this process, and what `extra` says the pool believes: the address is not known here.
  if (type === 'postgres' && driver !== undefined) return undefined
  if (addresses.some((name) => Object.hasOwn((extra ?? {}) as object, name))) return undefined
  const { hostname, port: urlPort, pathname } = new URL(typeof url === 'string' ? url : 'none:/')
  return JSON.stringify([
    type,
    host ?? (hostname || socketPath) ?? 'localhost',
    String(port || urlPort || defaultPorts[String(type)]),
    database ?? pathname.slice(1),
  ])
}

/** Options of pg and mysql2 that name a database. */
const addresses = ['host', 'port', 'database', 'connectionString', 'socketPath', 'uri', 'stream']

/** A URL may leave its port out, and options may name it. */
const defaultPorts: Record<string, number> = { postgres: 5432, mysql: 3306, mariadb: 3306 }
