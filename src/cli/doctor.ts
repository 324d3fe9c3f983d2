import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { DataSource } from 'typeorm'
import type { FileStorage } from '../core/file-storage.js'
import { type Finding, find, reasonOf } from '../core/finding.js'
import { getStorage, storageNames } from '../core/storage-registry.js'
import { checkWiring } from '../orm/check-wiring.js'
import { FileJournal } from '../orm/file-journal.js'
import { type Command, commonHelp, commonOptions } from './command.js'
import { checkContract } from './doctor-contract.js'
import { DoctorReport } from './doctor-report.js'
import { untilEnd } from './until-end.js'
import { UsageError } from './usage-error.js'
import { connect, loadDataSource } from './with-data-source.js'

const help = `Usage: typeorm-s3-file doctor -d <file> [options]

Checks the storages (credentials, bucket, region, clock, what the store can do, CORS, lifecycle rules) with small probes
below each storage's prefix, which it deletes again, and the DataSource (fields, subscriber, journal, tables, triggers).
Says what to do about what it finds.

${commonHelp}
  --storage <name>           only this storage; repeatable (default: all that are configured)
  --origin <origin>          of the pages that fetch files by script, for CORS: https://app.example.com
  --json                     a line of JSON for each finding, and one for the summary

Exit code: 0 when there is no problem (there may be warnings), 1 when there is one, 2 when it failed.`

async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...commonOptions,
      storage: { type: 'string', multiple: true },
      origin: { type: 'string' },
    },
  })
  const origin = values.origin === undefined ? undefined : parseOrigin(values.origin)
  const dataSource = await loadDataSource(values)
  const storages = chosen(values.storage)
  const report = new DoctorReport(values.json ?? false)
  const end = untilEnd()
  try {
    await tellOfDataSource(dataSource, report, end.signal)
    if (storages.length === 0) report.tell({}, noStorage)
    const hasJournal = dataSource.isInitialized && FileJournal.of(dataSource) !== undefined
    for (const name of storages) {
      await tellOfStorage(name, report, { origin, hasJournal, signal: end.signal })
    }
    end.signal.throwIfAborted()
    report.summarize()
    return report.hasProblems ? 1 : 0
  } finally {
    end.stop()
    if (dataSource.isInitialized) await dataSource.destroy()
  }
}

const noStorage: Finding = {
  check: 'storages',
  status: 'problem',
  message: 'no storage is configured',
  fix: "configureStorages({ default: new S3Storage({ bucket: '…' }) }) in the DataSource file, or in a module named by --require",
}

async function tellOfDataSource(
  dataSource: DataSource,
  report: DoctorReport,
  signal: AbortSignal,
): Promise<void> {
  const connection = await find('connection', signal, async () => {
    await connect(dataSource)
    return `${dataSource.options.type} answers`
  })
  report.tell({}, connection)
  if (dataSource.isInitialized) {
    for await (const finding of checkWiring(dataSource, signal)) report.tell({}, finding)
  } else {
    report.tell(
      {},
      { check: 'wiring', status: 'skipped', message: 'TypeORM knows the entities once it is connected' },
    )
  }
}

/** A storage has checks of its own, or gets those of the contract alone. */
async function tellOfStorage(
  name: string,
  report: DoctorReport,
  given: { origin: string | undefined; hasJournal: boolean; signal: AbortSignal },
): Promise<void> {
  const storage = getStorage(name)
  const probePrefix = `${storage.keyPrefix}typeorm-s3-file-doctor-${randomBytes(8).toString('hex')}/`
  const options = { ...given, probePrefix, contract: () => checkContract(storage, { ...given, probePrefix }) }
  try {
    for await (const finding of checksOf(storage, options)) report.tell({ storage: name }, finding)
  } catch (error) {
    given.signal.throwIfAborted()
    report.tell({ storage: name }, { check: 'diagnose', status: 'problem', message: reasonOf(error) })
  }
}

function checksOf(storage: FileStorage, options: Parameters<NonNullable<FileStorage['diagnose']>>[0]) {
  return storage.diagnose?.(options) ?? options.contract()
}

function chosen(names: string[] | undefined): string[] {
  const known = storageNames()
  for (const name of names ?? []) {
    if (known.includes(name)) continue
    throw new UsageError(`there is no storage '${name}'; configured: ${known.join(', ') || 'none'}`)
  }
  return names ?? known
}

function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.origin === text) return text
  throw new UsageError(`--origin takes an origin such as https://app.example.com, not '${text}'`)
}

export const doctorCommand: Command = {
  summary: 'checks storages and wiring, and says what to do',
  help,
  run,
}
