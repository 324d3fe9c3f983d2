import { replaceControlCharacters } from '../core/object-key.js'

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`)
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
