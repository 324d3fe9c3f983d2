import { readerGone } from './output.js'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Lets work clean up before the process ends: at the first signal to end, an error that nobody has caught, or when the
 * reader of stdout has gone, the AbortSignal aborts. A second signal ends the process as ever.
 */
export function untilEnd(): { signal: AbortSignal; stop: () => void } {
  const controller = new AbortController()
  const onSignal = (name: NodeJS.Signals) => {
    for (const each of signals) process.removeListener(each, onSignal)
    process.stderr.write(`${name}: cleaning up; once more ends at once\n`)
    controller.abort(new Error(`ended by ${name} before all was checked`))
  }
  const onError = (error: unknown) => controller.abort(error)
  for (const each of signals) process.on(each, onSignal)
  process.on('uncaughtException', onError)
  return {
    signal: AbortSignal.any([controller.signal, readerGone]),
    stop: () => {
      for (const each of signals) process.removeListener(each, onSignal)
      process.removeListener('uncaughtException', onError)
    },
  }
}
