import type { ParseArgsConfig } from 'node:util'

export interface Command {
  /** One line for the list of commands. */
  summary: string
  /** Its options, a line each. */
  help: string
  /** @returns the exit code. */
  run: (args: string[]) => Promise<number>
}

/** What the commands have in common. */
export const commonOptions = {
  'data-source': { type: 'string', short: 'd' },
  require: { type: 'string', multiple: true },
  json: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options']

export const commonHelp = `  -d, --data-source <file>   the file that exports the DataSource, as for TypeORM's own commands
  --require <module>         loaded before it, for instance a module that calls configureStorages(); repeatable`
