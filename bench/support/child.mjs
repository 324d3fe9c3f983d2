// The processes that a run consists of. Each is forked, answers questions over its channel (see answer.mjs) and is
// ended by its id: when the run is over, when it fails, and on Ctrl-C. One whose parent has gone ends by itself.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const running = new Set()

/**
 * Starts a module of this folder and waits until it is ready.
 *
 * @returns what it said when it was ready, and `ask(command, argument)` and `stop()`.
 */
export async function startChild(module, args = [], { env = {} } = {}) {
  const child = fork(fileURLToPath(new URL(`../${module}`, import.meta.url)), args.map(String), {
    env: { ...process.env, ...env },
    execArgv: ['--disable-warning=NodeVersionSupportWarning'], // of the SDK, once for each process
    serialization: 'advanced',
    // A group of its own, so that Ctrl-C reaches the run first, which then ends everything in order.
    detached: true,
  })
  const waiting = new Map()
  let asked = 0
  const exit = once(child, 'exit').then(([code, signal]) => {
    running.delete(stop)
    const error = new Error(`${[module, ...args].join(' ')} ended with ${signal ?? `code ${code}`}`)
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  })
  const stop = async () => {
    if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exit
    clearTimeout(timer)
  }
  running.add(stop)
  const ready = new Promise((resolve, reject) => {
    waiting.set(0, { resolve, reject })
  })
  child.on('message', ({ id, value, error }) => {
    const question = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) question?.resolve(value)
    else question?.reject(new Error(`${module}: ${error}`))
  })
  return {
    ...(await ready),
    ask: (command, argument) =>
      new Promise((resolve, reject) => {
        const id = ++asked
        waiting.set(id, { resolve, reject })
        child.send({ id, command, argument }, (error) => error && reject(error))
      }),
    stop,
  }
}

/** Ends all that are still running. */
export async function stopChildren() {
  await Promise.all([...running].map((stop) => stop()))
}
