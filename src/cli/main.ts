#!/usr/bin/env node
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf } from '../core/finding.js'
import { nearestName } from '../core/options.js'
import type { Command } from './command.js'
import { doctorCommand } from './doctor.js'
import { janitorCommand } from './janitor.js'
import { isReaderGone, plain, printLine, showProgress, watchReader } from './output.js'
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

typeorm-s3-file <command> --help says more, --version which one this is.`

async function main([name, ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') {
    printLine(help)
    return 0
  }
  if (name === '--version') {
    printLine(version())
    return 0
  }
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined
  try {
    if (command === undefined) {
      throw new UsageError(name === undefined ? 'a command is missing' : unknown(name))
    }
    if (args.includes('--help') || args.includes('-h')) printLine(command.help)
    else return await command.run(args)
    return 0
  } catch (error) {
    showProgress('')
    if (isReaderGone(error)) return 2
    const path = command === undefined ? '' : `${name} `
    const hint = isUsageError(error) ? `\ntypeorm-s3-file ${path}--help tells how it is used` : ''
    process.stderr.write(`typeorm-s3-file: ${reasonOf(error)}${hint}\n`)
    return 2
  }
}

function unknown(name: string): string {
  const nearest = nearestName(name, Object.keys(commands))
  return `there is no command '${plain(name)}'${nearest === undefined ? '' : `; did you mean '${nearest}'?`}`
}

/** Returns the version of the package that this file is part of, also where a link leads to it. */
function version(): string {
  const file = join(realpathSync(process.argv[1] as string), '../../../../package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

function isUsageError(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown }
  return error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
}

watchReader()
main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode
})
