import { setTimeout as sleep } from 'node:timers/promises'
import { deliver } from './deliver.mjs'
import { SiteProcess } from './site-process.mjs'
import { Store } from './store.mjs'
import { flawOf } from './verdict.mjs'

const MiB = 1024 * 1024

/** Requests at once. */
const concurrency = 8

/** What may be held, once all is done, beyond what was held after the warm-up. */
const mostUsedBytes = 8 * MiB
const mostRssBytes = 32 * MiB

/** Runs cases against the site, and looks what became of them, of the site and of the store. */
export class Campaign {
  #site
  #store
  #lastId = 0
  #firstMemory
  totals = { files: 0, refused: {} }

  static async start() {
    const campaign = new Campaign()
    campaign.#store = await Store.start()
    const settings = { ...campaign.#store.settings, idleTimeoutSeconds: 5 }
    campaign.#site = await SiteProcess.start(new URL('site.mjs', import.meta.url), settings)
    return campaign
  }

  get description() {
    const { endpoint } = this.#store.settings
    return this.#store.listsUploads
      ? `S3 at ${endpoint}`
      : `embedded S3, which does not tell its open multipart uploads: they are NOT looked at`
  }

  /** Runs cases, and takes what is held afterwards for what is always held. */
  async warmUp(cases) {
    const failure = await this.run(cases)
    this.#firstMemory = await this.#idleMemory()
    return failure
  }

  /** @returns the first failure as `{ flaw, given }`, without `given` when nothing says whose doing it was. */
  async run(cases) {
    const queue = cases.values()
    const stored = []
    let failure
    const work = async () => {
      for (const given of queue) {
        if (failure !== undefined) return
        const flaw = await this.#tryOne(given, stored)
        if (flaw !== undefined) failure ??= { flaw, given }
      }
    }
    await Promise.all(Array.from({ length: concurrency }, work))
    failure ??= await this.#leftBehind(stored)
    if (failure !== undefined && cases.length === 1) failure.given = cases[0]
    await this.#store.delete(await this.#store.keys())
    return failure
  }

  /** What is wrong with the memory of the site in the end. */
  async memoryFlaw() {
    const { rss, used } = await this.#idleMemory()
    const first = this.#firstMemory
    console.log(`memory after the warm-up: ${tellMemory(first)}; in the end: ${tellMemory({ rss, used })}`)
    if (used > first.used + mostUsedBytes) return 'memory that is used has grown'
    return rss > first.rss + mostRssBytes ? 'the RSS has grown' : undefined
  }

  async memory() {
    return tellMemory(await this.#site.memory())
  }

  async stop() {
    await this.#site.stop()
    await this.#store.stop()
  }

  async #idleMemory() {
    await sleep(11_000) // The pool for parts is kept for ten seconds.
    return this.#site.memory()
  }

  async #tryOne(given, stored) {
    const id = ++this.#lastId
    const { begun, outcome } = this.#site.expect(id)
    const [status, told] = await Promise.all([deliver(this.#site.port, id, given, begun), outcome])
    if (told.code !== undefined) this.totals.refused[told.code] = (this.totals.refused[told.code] ?? 0) + 1
    for (const file of (told.files ?? []).flatMap(([, files]) => files)) {
      stored.push(file.key)
      this.totals.files++
      file.bytes = await this.#store.bytes(file.key).catch(() => undefined)
      if (file.bytes?.length !== file.size) {
        return `'${file.key}' has ${file.bytes?.length ?? 'no'} bytes, not ${file.size}`
      }
    }
    const flaw = flawOf(given, told)
    if (flaw !== undefined) return flaw
    const isAnswered = given.end === 'whole' || given.end === 'stall'
    if (isAnswered && status !== told.statusCode) {
      return `the client was answered with ${status ?? 'nothing'}, not ${told.statusCode} ${told.code ?? ''}`
    }
    return undefined
  }

  /** What no case accounts for. */
  async #leftBehind(stored) {
    const flaws = this.#site.takeComplaints()
    const keys = await this.#store.keys()
    const unknown = keys.filter((key) => !stored.includes(key))
    if (unknown.length > 0) flaws.push(`objects that no answer tells of: ${unknown}`)
    if (this.#store.listsUploads) {
      const uploads = await this.#store.openUploads()
      if (uploads.length > 0) flaws.push(`open multipart uploads: ${uploads}`)
    }
    flaws.push(...(await this.#site.leftovers()))
    return flaws.length === 0 ? undefined : { flaw: flaws.join('\n') }
  }
}

function tellMemory({ rss, used }) {
  return `${(used / MiB).toFixed(1)} MiB used, RSS ${(rss / MiB).toFixed(1)} MiB`
}
