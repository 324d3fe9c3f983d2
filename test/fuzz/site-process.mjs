import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** The longest that any upload may take, on a machine that is busy. */
const longestSeconds = 60

/**
 * A young generation that cannot grow: V8 would make it larger over minutes under load, and keep it, which looks like a
 * leak.
 */
const execArgv = ['--expose-gc', '--max-semi-space-size=2']

/** Has glibc give freed memory back at once, so that the RSS tells what is held. */
const honestMalloc = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: String(64 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(64 * 1024),
}

/** An application that is observed, as its parent sees it. */
export class SiteProcess {
  #process
  /** By case. */
  #outcomes = new Map()
  #begun = new Map()
  #complaints = []
  #idle
  port

  static async start(script, settings) {
    const site = new SiteProcess()
    site.#process = fork(script, {
      execArgv,
      env: { ...process.env, ...honestMalloc, SITE_SETTINGS: JSON.stringify(settings) },
    })
    site.#process.on('message', (message) => site.#onMessage(message))
    site.#process.on('exit', (code, signal) => site.#complaints.push(`the site has ended: ${signal ?? code}`))
    while (site.port === undefined) await once(site.#process, 'message')
    site.#idle = await site.#look()
    return site
  }

  /** To be called before the case is sent: `begun` when the site has its headers, `outcome` when it is done with it. */
  expect(id) {
    const outcome = new Promise((resolve) => this.#outcomes.set(id, resolve))
    const timer = setTimeout(
      () => this.#outcomes.get(id)?.({ flaw: `it has not ended within ${longestSeconds} seconds` }),
      longestSeconds * 1000,
    )
    return {
      begun: new Promise((resolve) => this.#begun.set(id, resolve)),
      outcome: outcome.finally(() => {
        clearTimeout(timer)
        this.#outcomes.delete(id)
        this.#begun.delete(id)
      }),
    }
  }

  takeComplaints() {
    return this.#complaints.splice(0)
  }

  /** What the site holds, when nobody asks anything of it, that it did not hold at first; an empty list is fine. */
  async leftovers() {
    const deadline = Date.now() + 15_000
    while (true) {
      const { held } = await this.#look()
      const expected = this.#idle.held
      const flaws = Object.keys(held)
        .filter((name) => JSON.stringify(held[name]) !== JSON.stringify(expected[name]))
        .map((name) => `${name} ${JSON.stringify(held[name])} instead of ${JSON.stringify(expected[name])}`)
      if (flaws.length === 0 || Date.now() > deadline) return flaws
      await sleep(100)
    }
  }

  async memory() {
    return (await this.#look()).memory
  }

  async stop() {
    this.#process.removeAllListeners('exit')
    this.#process.kill()
    await once(this.#process, 'exit')
  }

  #onMessage(message) {
    if (message.port !== undefined) this.port = message.port
    if (message.complaint !== undefined) this.#complaints.push(message.complaint)
    if (message.begun !== undefined) this.#begun.get(message.begun)?.()
    if (message.outcome !== undefined) this.#outcomes.get(message.id)?.(message.outcome)
  }

  async #look() {
    const answered = once(this.#process, 'message', { signal: AbortSignal.timeout(30_000) })
    this.#process.send('look')
    const [answer] = await answered
    if (answer.held === undefined) return this.#look()
    return answer
  }
}
