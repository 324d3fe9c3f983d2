import { replaceControlCharacters } from '../core/object-key.js'

const reader = new AbortController()

/** Aborts when stdout cannot be written any more, as when `| head` has read enough. */
export const readerGone = reader.signal

/** Whether an error of stdout says that its reader has ended: no failure, and nobody to tell it to. */
export function isReaderGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'EPIPE'
}

/** Keeps the process alive when a reader of its output ends first, so that a command can clean up. */
export function watchReader(): void {
  process.stdout.on('error', (error) => reader.abort(error))
  process.stderr.on('error', () => undefined)
}

export function printLine(text: string): void {
  if (!readerGone.aborted) process.stdout.write(`${text}\n`)
}

/** A line of JSON; errors in it become their message. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value, (_name, part) => (part instanceof Error ? part.message : part)))
}

/** A text from elsewhere that cannot change what the terminal shows. */
export function plain(text: unknown): string {
  return replaceControlCharacters(String(text), '\ufffd')
}

/** A line on the terminal that each call replaces; nothing where stderr is no terminal. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}
