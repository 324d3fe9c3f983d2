import { parseArgs } from 'node:util'
import { reconcile } from '../orm/reconcile.js'
import type { ReconcileFinding, ReconcileSummary } from '../orm/reconcile-findings.js'
import { type Command, commonHelp, commonOptions } from './command.js'
import { parseDuration } from './duration.js'
import { plain, printJson, printLine, readerGone, showProgress } from './output.js'
import { UsageError } from './usage-error.js'
import { withDataSource } from './with-data-source.js'

const help = `Usage: typeorm-s3-file reconcile -d <file> [options]

Compares the storages of all file fields with the rows and lists orphans (objects that no row refers to), dangling rows
(whose object is not there) and stale multipart uploads. It changes nothing, unless told to. The DataSource must have all
entities that keep files in these storages: the objects of others look like orphans.

${commonHelp}
  --delete-orphans           deletes the orphans and aborts the stale uploads; needs --older-than
  --older-than <duration>    leaves younger objects and uploads alone: 30m, 24h, 7d (default: 24h)
  --json                     a line of JSON for each finding, and one for the summary

Exit code: 0 when nothing is left to do, 1 when something was found that is still there, 2 when it failed.`

async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...commonOptions,
      'delete-orphans': { type: 'boolean', default: false },
      'older-than': { type: 'string' },
    },
  })
  const olderThanSeconds = parseDuration('older-than', values['older-than'])
  const deleteOrphans = values['delete-orphans']
  if (deleteOrphans && olderThanSeconds === undefined) {
    throw new UsageError('--delete-orphans needs --older-than, for instance --older-than 24h')
  }
  return withDataSource(values, { storages: true }, async (dataSource) => {
    const findings = reconcile(dataSource, {
      deleteOrphans,
      ...(olderThanSeconds === undefined ? {} : { olderThanSeconds }),
      onProgress: ({ storage, objects, files }) =>
        showProgress(`storage '${storage}': ${objects} objects, ${files} files of rows`),
    })
    let left = 0
    for await (const finding of findings) {
      readerGone.throwIfAborted()
      showProgress('')
      if (values.json) printJson(finding)
      else printLine(finding.type === 'summary' ? describeSummary(finding) : describe(finding))
      if (finding.type === 'summary') {
        const { orphans, deleted, dangling, staleUploads, aborted } = finding
        left = orphans - deleted + dangling + staleUploads - aborted
      }
    }
    return left === 0 ? 0 : 1
  })
}

function describe(finding: ReconcileFinding): string {
  const object = `${finding.type}  ${plain(finding.storage)}  ${plain(finding.key)}`
  switch (finding.type) {
    case 'orphan':
      return `${object}  ${finding.size} bytes, ${when(finding.lastModified)}${outcome('deleted', finding.isDeleted, finding.error)}`
    case 'dangling':
      return `${object}  ${finding.rows
        .map(({ entity, property, id }) => `${entity}.${property} of ${plain(JSON.stringify(id))}`)
        .join(', ')}`
    case 'stale-upload':
      return `${object}  ${plain(finding.uploadId)}, ${when(finding.startedAt)}${outcome('aborted', finding.isAborted, finding.error)}`
  }
}

function outcome(done: string, isDone: boolean, error: unknown): string {
  if (isDone) return `, ${done}`
  return error === undefined ? '' : `, not ${done}: ${plain(error)}`
}

function describeSummary(summary: ReconcileSummary): string {
  const { objects, files, orphans, orphanBytes, deleted, dangling, staleUploads, aborted, journal } = summary
  const lines = [
    `${objects} objects, ${files} files of rows`,
    `orphans: ${orphans} (${orphanBytes} bytes), ${deleted} deleted`,
    `dangling: ${dangling}`,
    `stale uploads: ${staleUploads}, ${aborted} aborted`,
  ]
  if (journal === null) return lines.join('\n')
  const oldest = journal.oldest === null ? '' : `, the oldest ${when(journal.oldest)}`
  lines.push(`journal: ${journal.entries} entries, ${journal.due} due, ${journal.failing} failing${oldest}`)
  return lines.join('\n')
}

function when(time: Date | null): string {
  return time === null ? 'of unknown age' : `of ${time.toISOString()}`
}

export const reconcileCommand: Command = {
  summary: 'compares the storages with the rows, lists what does not fit and deletes orphans',
  help,
  run,
}
