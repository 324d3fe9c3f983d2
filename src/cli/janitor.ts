import { parseArgs } from 'node:util'
import { maxTimerSeconds } from '../core/options.js'
import { FileJanitor, type FileJanitorOptions, type JanitorReport } from '../orm/file-janitor.js'
import { type Command, commonHelp, commonOptions } from './command.js'
import { parseDuration } from './duration.js'
import { printJson, printLine, readerGone } from './output.js'
import { UsageError } from './usage-error.js'
import { withDataSource } from './with-data-source.js'

const help = `Usage: typeorm-s3-file janitor -d <file> [options]

Processes the file journal: deletes the objects that rows no longer refer to, and uploads that no row came to refer to. Runs
until SIGINT or SIGTERM, unless --once is given. Any number of janitors may run at once.

${commonHelp}
  --once                     processes every due entry, and ends
  --interval <duration>      how long to wait when nothing is due, 1s to 24d (default: 1m)
  --batch-size <count>       entries that are processed at once, 1 to 1000 (default: 1000)
  --delete-after <duration>  how long objects stay that rows no longer refer to (default: as the S3FileSubscriber says)
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
    readerGone.throwIfAborted()
    return 0
  })
}

function parseCount(option: string, text: string | undefined): number | undefined {
  if (text !== undefined && !/^\d{1,9}$/.test(text)) {
    throw new UsageError(`--${option} takes a number, not '${text}'`)
  }
  return text === undefined ? undefined : Number(text)
}

/** Resolves at the first signal to end, or when nobody reads the output; a second signal ends the process as ever. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    const alive = setInterval(() => undefined, 2 ** 30)
    const onSignal = () => {
      clearInterval(alive)
      process.removeListener('SIGINT', onSignal)
      process.removeListener('SIGTERM', onSignal)
      readerGone.removeEventListener('abort', onSignal)
      resolve()
    }
    readerGone.addEventListener('abort', onSignal)
    process.once('SIGINT', onSignal)
    process.once('SIGTERM', onSignal)
  })
}

function describe({ deleted, kept, failed, abortedUploads }: JanitorReport): string {
  return `${deleted} deleted, ${kept} kept, ${failed} failed, ${abortedUploads} uploads aborted`
}

export const janitorCommand: Command = {
  summary: 'processes the file journal, once or all the time',
  help,
  run,
}
