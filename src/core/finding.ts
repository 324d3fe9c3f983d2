import { redact } from './redact.js'

/** What a check has found. `skipped`: it could not be checked, or need not be; the message says why. */
export type FindingStatus = 'ok' | 'warning' | 'problem' | 'skipped'

/** One line of what `typeorm-s3-file doctor` tells. */
export interface Finding {
  /** The check, as a word that stays the same from release to release. */
  check: string
  status: FindingStatus
  /** A sentence. Never a credential, a signature or a presigned URL. */
  message: string
  /** What puts it right: a command, or code. */
  fix?: string
}

/** What a storage is told for its own checks. */
export interface DiagnoseOptions {
  /** What the keys of all probes start with: within the storage's prefix, and nobody else's. */
  probePrefix: string
  /**
   * The checks that every storage gets: of put, stat, open, copy, list, url and delete. A storage with checks of its own
   * runs them where they fit: `yield* contract()`. They clean up after themselves.
   */
  contract: () => AsyncIterable<Finding>
  /** Of the pages that fetch files, such as `https://app.example.com`. */
  origin: string | undefined
  /** Whether a file journal names the uploads, so that a janitor aborts those that are stale. */
  hasJournal: boolean
  /** Aborts when the checks are to end: clean up, and yield no more than what could not be. */
  signal: AbortSignal
}

/** Whether everything below a probe's prefix is gone: nothing to tell when it is. */
export function cleanUpFinding(leftBehind: readonly string[]): Finding | undefined {
  if (leftBehind.length === 0) return undefined
  return {
    check: 'clean-up',
    status: 'problem',
    message: `could not clean up: ${leftBehind.join(', ')}`,
    fix: 'Delete it by hand once the cause is gone; no row refers to it.',
  }
}

/** Runs one check. What it gives is a message that all is well, or a finding; what it throws is a problem. */
export async function find(
  check: string,
  signal: AbortSignal,
  work: () => Promise<string | Omit<Finding, 'check'>>,
): Promise<Finding> {
  signal.throwIfAborted()
  try {
    const result = await work()
    return typeof result === 'string' ? { check, status: 'ok', message: result } : { check, ...result }
  } catch (error) {
    signal.throwIfAborted()
    return { check, status: 'problem', message: reasonOf(error) }
  }
}

/** An error's message with what it was caused by, without secrets: that of `fetch` may quote a presigned URL. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return redact(String(error))
  const own = redact(error.message) || (error as NodeJS.ErrnoException).code || error.name
  const cause = error.cause === undefined ? '' : reasonOf(error.cause)
  return cause === '' || own.includes(cause) ? own : `${own}: ${cause}`
}
