import type { DataSource } from 'typeorm'

/** Whether two DataSources are on one database, such as a pool for requests and one for jobs. */
export function isSameDatabase(left: DataSource, right: DataSource): boolean {
  return left === right || (placeOf(left) !== undefined && placeOf(left) === placeOf(right))
}

/** Undefined for a database in memory: each DataSource has its own. */
function placeOf({ options }: DataSource): string | undefined {
  const { replication, ...direct } = options as unknown as { replication?: { master?: object } }
  const { type, url, host, port, socketPath, database } = { ...direct, ...replication?.master } as Record<
    string,
    unknown
  >
  if (type === 'sqljs' || database === ':memory:') return undefined
  const { hostname, port: urlPort, pathname } = new URL(typeof url === 'string' ? url : 'none:/')
  return JSON.stringify([
    type,
    host ?? (hostname || socketPath) ?? null,
    port ?? urlPort ?? null,
    database ?? pathname.slice(1),
  ])
}
