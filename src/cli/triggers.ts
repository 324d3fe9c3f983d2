import { parseArgs } from 'node:util'
import type { DataSource, EntityMetadata } from 'typeorm'
import { fileColumnsOf } from '../orm/file-columns.js'
import { dialectOf } from '../orm/file-sql.js'
import { fittedTriggers } from '../orm/file-triggers.js'
import { onRunner } from '../orm/on-runner.js'
import { type Command, commonHelp, commonOptions } from './command.js'
import { printJson, printLine } from './output.js'
import { UsageError } from './usage-error.js'
import { withDataSource } from './with-data-source.js'

const help = `Usage: typeorm-s3-file triggers -d <file> [options]

Prints the SQL of the triggers that keep the file journal when any statement changes a file column or deletes its row: for a
migration, or for the database's own client.

${commonHelp}
  --entity <name>            only of this entity; repeatable (default: all with file fields)
  --down                     the SQL that drops them
  --json                     a line of JSON for each statement

Exit code: 0, or 2 when it failed.`

async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...commonOptions,
      entity: { type: 'string', multiple: true },
      down: { type: 'boolean', default: false },
    },
  })
  return withDataSource(values, { storages: false }, async (dataSource) => {
    for (const { name, target } of chosen(dataSource, values.entity)) {
      const fitted = await onRunner(dataSource, (runner) => fittedTriggers(runner, target))
      for (const sql of fitted[values.down ? 'down' : 'up']) {
        if (values.json) printJson({ type: 'statement', entity: name, sql })
        else printLine(script(dataSource, sql))
      }
    }
    return 0
  })
}

function chosen(dataSource: DataSource, names: string[] | undefined): EntityMetadata[] {
  const known = withFiles(dataSource)
  return (
    names?.map((name) => {
      const metadata = known.find((candidate) => candidate.name === name)
      if (metadata !== undefined) return metadata
      throw new UsageError(
        `there is no entity '${name}' with a file field and a table of its own; there are: ` +
          known.map((candidate) => candidate.name).join(', '),
      )
    }) ?? known
  )
}

function withFiles({ entityMetadatas }: DataSource): EntityMetadata[] {
  return entityMetadatas.filter(
    (metadata) =>
      metadata.tableType !== 'view' &&
      metadata.tableType !== 'entity-child' &&
      fileColumnsOf(metadata).length > 0,
  )
}

/** A statement as the database's own client takes it: MySQL's would end a trigger at its first semicolon. */
function script(dataSource: DataSource, sql: string): string {
  const statement = sql.trim().replace(/;$/, '')
  return dialectOf(dataSource) === 'mysql' && statement.includes(';')
    ? `DELIMITER $$\n${statement}$$\nDELIMITER ;\n`
    : `${statement};\n`
}

export const triggersCommand: Command = {
  summary: 'prints the SQL of the triggers that keep the file journal for any statement',
  help,
  run,
}
