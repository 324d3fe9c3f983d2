import { JournalError } from '../core/errors.js'
import { unlessAborted } from '../core/unless-aborted.js'

/** How long an upload, or `discard()`, waits for the database: for a connection and for its statements together. */
const maxWaitSeconds = 10

/**
 * Waits for work of the database for a caller who may hold the connection, or the lock, that the work waits for: a
 * transaction of the application. The wait ends when the time is over or `signal` is aborted. The work goes on: it looks at
 * the signal that it gets, and takes back what it has done too late.
 *
 * @param what the message says: 'the file journal could not note an upload'.
 * @throws JournalError `journal-failed` when the time is over; the reason of `signal`.
 */
export async function inTime<Result>(
  what: string,
  signal: AbortSignal | undefined,
  work: (stop: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const stop = new AbortController()
  const onAbort = () => stop.abort(signal?.reason)
  const timer = setTimeout(() => stop.abort(tooLate(what)), maxWaitSeconds * 1000)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    if (signal?.aborted) onAbort()
    return await unlessAborted(stop.signal, work(stop.signal))
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function tooLate(what: string): JournalError {
  return new JournalError(
    'journal-failed',
    `${what} within ${maxWaitSeconds} seconds: all connections of the pool are in use, or the journal's table is locked. ` +
      'Upload files before the transaction begins, or make the pool larger',
  )
}
