import { parseArgs } from 'node:util'
import { maxTimerSeconds } from '../core/options.js'
import { FileJanitor, type FileJanitorOptions, type JanitorReport } from '../orm/file-janitor.js'
import { type Command, commonHelp, commonOptions } from './command.js'
import { parseDuration } from './duration.js'
import { printJson, printLine } from './output.js'
import { UsageError } from './usage-error.js'
import { withDataSource } from './with-data-source.js'

const help = `Usage: typeorm-s3-file janitor -d <file> [options]

Works off the file journal: deletes the objects that rows have let go, and uploads that came to no row. Runs until it gets
SIGINT or SIGTERM, unless told to do it once. Any number of them may run at once.

${commonHelp}
  --once                     works off what is due, and ends
  --interval <duration>      how long to wait when nothing is due (default: 1m)
  --batch-size <count>       entries that are taken at once, 1 to 1000 (default: 1000)
  --delete-after <duration>  how long the objects that rows let go stay (default: as the S3FileSubscriber says)
  --json                     a line of JSON for each batch with what the run has done so far, and for --once a summary

Exit code: 0; with --once 1 when entries failed and are to be tried again; 2 when it failed as a whole.`

async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...commonOptions,
      once: { type: 'boolean', default: false },
      interval: { type: 'string' },
      'batch-size': { type: 'string' },
      'delete-after': { type: 'string' },
    },
  })
  const given = {
    intervalSeconds: parseDuration('interval', values.interval, maxTimerSeconds),
    batchSize: parseCount('batch-size', values['batch-size']),
    deleteAfterSeconds: parseDuration('delete-after', values['delete-after']),
  }
  const tell = (type: 'progress' | 'summary', report: JanitorReport) => {
    if (values.json) printJson({ type, ...report })
    else printLine(describe(report))
  }
  const options: FileJanitorOptions = {
    ...(given as { [Name in keyof typeof given]: number }),
    onProgress: (report) => {
      if (values.json || !values.once) tell('progress', report)
    },
    onError: (error) => process.stderr.write(`${error}\n`),
  }
  return withDataSource(values, { storages: true }, async (dataSource) => {
    const janitor = new FileJanitor(dataSource, options)
    if (values.once) {
      const report = await janitor.runOnce()
      tell('summary', report)
      return report.failed === 0 ? 0 : 1
    }
    const stopped = untilSignal()
    janitor.start()
    await stopped
    await janitor.stop()
    return 0
  })
}

function parseCount(option: string, text: string | undefined): number | undefined {
  if (text !== undefined && !/^\d{1,9}$/.test(text)) {
    throw new UsageError(`--${option} takes a number, not '${text}'`)
  }
  return text === undefined ? undefined : Number(text)
}

/** Resolves at the first signal to end; a second one ends the process as ever. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    const alive = setInterval(() => undefined, 2 ** 30)
    const onSignal = () => {
      clearInterval(alive)
      process.removeListener('SIGINT', onSignal)
      process.removeListener('SIGTERM', onSignal)
      resolve()
    }
    process.once('SIGINT', onSignal)
    process.once('SIGTERM', onSignal)
  })
}

function describe({ deleted, kept, failed, abortedUploads }: JanitorReport): string {
  return `${deleted} deleted, ${kept} kept, ${failed} failed, ${abortedUploads} uploads aborted`
}

export const janitorCommand: Command = {
  summary: 'works off the file journal, once or all the time',
  help,
  run,
}
