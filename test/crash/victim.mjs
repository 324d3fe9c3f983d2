import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A process that works on files until it is killed. */
export class Victim {
  #process
  #exited
  #ready
  #working
  /** How often it did what, as far as it came to say so. */
  counts = {}
  /** Errors that an application should not have seen. */
  unexpected = []
  /** What the database knows its connections by. */
  sessions = []

  /** `settings` are what worker.mjs wants to know. */
  constructor(settings, env) {
    this.name = settings.name
    this.#process = fork(new URL('worker.mjs', import.meta.url), {
      // Warnings are looked at, not printed.
      env: { ...process.env, ...env, NODE_NO_WARNINGS: '1', CRASH_WORKER: JSON.stringify(settings) },
    })
    this.#exited = once(this.#process, 'exit')
    this.#ready = this.#said('ready')
    this.#working = this.#said('working')
    this.#process.on('message', ({ counts, unexpected, sessions }) => {
      if (counts !== undefined) this.counts = counts
      if (unexpected !== undefined) this.unexpected.push(unexpected)
      if (sessions !== undefined) this.sessions = sessions
    })
  }

  /** Resolves when it is at work. */
  async work(seed) {
    await this.#ready
    this.#process.send({ seed })
    await this.#working
  }

  /** Resolves when the process is gone. */
  async kill() {
    this.#process.kill('SIGKILL')
    const [code, signal] = await this.#exited
    if (signal !== 'SIGKILL') this.unexpected.push(`${this.name} has ended by itself: ${signal ?? code}`)
  }

  /** Resolves when the process says that word; rejects when it ends before. */
  #said(word) {
    const said = new Promise((resolve, reject) => {
      this.#process.on('message', (message) => {
        if (message === word) resolve()
      })
      this.#process.on('exit', () => reject(new Error(`${this.name} ended before it was ${word}`)))
    })
    said.catch(() => undefined) // Somebody waits for it later, or nobody does.
    return said
  }
}
