import { createHash } from 'node:crypto'
import type { EntityMetadata } from 'typeorm'

/** What the names of this package's triggers begin with. */
export const triggerPrefix = 's3file_'

/** What it is for: `cascade` is on the table that a foreign key refers to, `json` is a function in PostgreSQL. */
export type TriggerKind = 'insert' | 'update' | 'delete' | 'truncate' | 'json' | 'cascade'

/** The longest name in bytes that all databases take. */
const maxNameBytes = 63

/** The name of a trigger, or of what belongs to it, for a table. A long table's name is shortened. */
export function triggerName(kind: TriggerKind, { tableName }: EntityMetadata, id?: string): string {
  const name = (table: string) => [triggerPrefix + kind, table, id].filter(Boolean).join('_')
  if (Buffer.byteLength(name(tableName)) <= maxNameBytes) return name(tableName)
  const hash = createHash('sha256').update(tableName).digest('hex').slice(0, 8)
  let short = tableName
  while (Buffer.byteLength(name(`${short}_${hash}`)) > maxNameBytes) short = short.slice(0, -1)
  return name(`${short}_${hash}`)
}
