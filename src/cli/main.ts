#!/usr/bin/env node
import type { Command } from './command.js'
import { janitorCommand } from './janitor.js'
import { printLine, showProgress } from './output.js'
import { reconcileCommand } from './reconcile.js'
import { triggersCommand } from './triggers.js'
import { UsageError } from './usage-error.js'

const commands: Record<string, Command> = {
  reconcile: reconcileCommand,
  janitor: janitorCommand,
  triggers: triggersCommand,
}

const help = `Usage: typeorm-s3-file <command> [options]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`)
  .join('\n')}

typeorm-s3-file <command> --help tells more.`

async function main([name, ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') {
    printLine(help)
    return 0
  }
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined
  try {
    if (command === undefined) {
      throw new UsageError(name === undefined ? 'a command is missing' : `there is no command '${name}'`)
    }
    if (args.includes('--help') || args.includes('-h')) printLine(command.help)
    else return await command.run(args)
    return 0
  } catch (error) {
    showProgress('')
    const path = command === undefined ? '' : `${name} `
    const hint = isUsageError(error) ? `\ntypeorm-s3-file ${path}--help tells how it is used` : ''
    process.stderr.write(`typeorm-s3-file: ${messageOf(error)}${hint}\n`)
    return 2
  }
}

function isUsageError(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
}

/** With what it was caused by: "could not read the journal: connection refused". */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name
  const cause = error.cause === undefined ? '' : messageOf(error.cause)
  return cause === '' || own.includes(cause) ? own : `${own}: ${cause}`
}

main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode
})
