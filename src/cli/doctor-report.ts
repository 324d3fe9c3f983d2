import type { Finding, FindingStatus } from '../core/finding.js'
import { plain, printJson, printLine } from './output.js'

/** What a finding is about: a storage, or without a name the DataSource. */
interface Subject {
  storage?: string
}

/** Tells findings one by one, and counts them. */
export class DoctorReport {
  readonly #isJson: boolean
  readonly #counts: Record<FindingStatus, number> = { ok: 0, warning: 0, problem: 0, skipped: 0 }
  #subject: string | undefined

  constructor(isJson: boolean) {
    this.#isJson = isJson
  }

  get hasProblems(): boolean {
    return this.#counts.problem > 0
  }

  tell({ storage }: Subject, { check, status, message, fix }: Finding): void {
    this.#counts[status]++
    const said = { message: safe(message), ...(fix === undefined ? {} : { fix: safe(fix) }) }
    if (this.#isJson) {
      const about = storage === undefined ? {} : { storage }
      printJson({ type: 'finding', ...about, check, status, ...said })
      return
    }
    const subject = storage === undefined ? 'DataSource' : `storage '${plain(storage)}'`
    if (subject !== this.#subject) printLine(this.#subject === undefined ? subject : `\n${subject}`)
    this.#subject = subject
    printLine(`  ${status.padEnd(8)} ${plain(check).padEnd(23)} ${said.message}`)
    if (said.fix !== undefined) printLine(`${' '.repeat(11)}fix: ${said.fix}`)
  }

  summarize(): void {
    const { ok, warning, problem, skipped } = this.#counts
    if (this.#isJson) printJson({ type: 'summary', ok, warnings: warning, problems: problem, skipped })
    else printLine(`\nok: ${ok}, warnings: ${warning}, problems: ${problem}, skipped: ${skipped}`)
  }
}

/**
 * A text that others had a hand in: the message of an error may name a URL, with a signature in its query or a password
 * before its host.
 */
function safe(text: string): string {
  return plain(text)
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]*@/gi, '$1…@')
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s?'"]*)\?[^\s'"]*/gi, '$1?…')
}
