#!/usr/bin/env node
import { reasonOf } from '../core/finding.js'
import type { Command } from './command.js'
import { doctorCommand } from './doctor.js'
import { janitorCommand } from './janitor.js'
import { printLine, showProgress } from './output.js'
import { reconcileCommand } from './reconcile.js'
import { triggersCommand } from './triggers.js'
import { UsageError } from './usage-error.js'

const commands: Record<string, Command> = {
  doctor: doctorCommand,
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
    process.stderr.write(`typeorm-s3-file: ${reasonOf(error)}${hint}\n`)
    return 2
  }
}

function isUsageError(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
}

main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode
})
