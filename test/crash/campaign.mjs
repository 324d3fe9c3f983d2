import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3'
import { configureStorages, createFileTriggers, FileJanitor, S3Storage } from '../../dist/esm/index.js'
import { Checks } from './checks.mjs'
import { makeDue } from './databases.mjs'
import { FaultProxy } from './fault-proxy.mjs'
import { Random } from './random.mjs'
import { Victim } from './victim.mjs'
import { newDataSource, newS3Client, Paper, Picture } from './world.mjs'

/** Kills between two runs of the janitor. */
const killsPerRound = 10

/** How long a process lives once it is at work. */
const lifeMs = { least: 20, most: 400 }

/** The part of the requests to S3 that is spoilt, with faults. */
const faultRate = 1 / 3

/** What must never be was seen. */
export class Violation extends Error {}

/** Processes at work on one database, killed one after the other. */
export class Campaign {
  #database
  #hasTriggers
  #kills
  #seed
  #hasFaults
  #random
  #s3
  #bucket
  #prefix = `crash-${randomBytes(6).toString('hex')}/`
  #storage
  #dataSource
  #proxy
  #checks
  /** Those that work, and those that are getting ready. */
  #groups = []
  #newest = 0
  #totals = { deeds: {}, entries: 0 }
  #startedAt = Date.now()

  constructor({ database, hasTriggers, kills, seed, hasFaults }) {
    const { S3_ENDPOINT, S3_BUCKET = 'test-bucket' } = process.env
    this.#database = database
    this.#hasTriggers = hasTriggers
    this.#kills = kills
    this.#seed = seed
    this.#hasFaults = hasFaults
    this.#random = new Random(seed)
    this.#s3 = newS3Client(S3_ENDPOINT)
    this.#bucket = S3_BUCKET
    this.#storage = new S3Storage({ bucket: S3_BUCKET, client: this.#s3, keyPrefix: this.#prefix })
    this.#dataSource = newDataSource(database, 'crash-run', { synchronize: true })
    this.#proxy = new FaultProxy(S3_ENDPOINT, new Random(seed + 1))
    this.#checks = new Checks({ database, s3: this.#s3, bucket: S3_BUCKET, prefix: this.#prefix })
  }

  /** @throws Violation */
  async run() {
    console.log(`\ncrash test on ${this.#where}: seed ${this.#seed}, ${this.#kills} kills`)
    await this.#prepare()
    try {
      for (let kill = 1; kill <= this.#kills; kill++) await this.#crash(kill)
      this.#tellTotals()
    } finally {
      for (const victim of this.#groups.flat()) await victim.kill()
      await this.#cleanUp()
    }
  }

  get #where() {
    return `${this.#database.name}, ${this.#hasTriggers ? 'with' : 'without'} triggers`
  }

  async #prepare() {
    await this.#proxy.start()
    await this.#s3
      .send(new HeadBucketCommand({ Bucket: this.#bucket }))
      .catch(() => this.#s3.send(new CreateBucketCommand({ Bucket: this.#bucket })))
    await this.#database.create()
    configureStorages({ default: this.#storage })
    await this.#dataSource.initialize()
    if (!this.#hasTriggers) return
    const runner = this.#dataSource.createQueryRunner()
    for (const entity of [Paper, Picture]) await createFileTriggers(runner, entity)
    await runner.release()
  }

  async #crash(kill) {
    while (this.#groups.length < 3 && this.#newest < this.#kills)
      this.#groups.push(this.#newGroup(++this.#newest))
    const [group] = this.#groups
    this.#proxy.faultRate = this.#hasFaults(kill) ? faultRate : 0
    await Promise.all(group.map((victim, index) => victim.work(this.#seed + 1000 * kill + 100 * index)))
    await sleep(this.#random.between(lifeMs.least, lifeMs.most))
    await Promise.all(group.map((victim) => victim.kill()))
    this.#groups.shift()
    for (const { counts } of group) {
      for (const [deed, count] of Object.entries(counts)) {
        this.#totals.deeds[deed] = (this.#totals.deeds[deed] ?? 0) + count
      }
    }
    await this.#untilSettled(group)
    const unexpected = group.flatMap((victim) => victim.unexpected)
    if (unexpected.length > 0) this.#fail(kill, unexpected)
    await this.#expectNone(kill, await this.#checks.invariant())
    if (kill % killsPerRound === 0 || kill === this.#kills) await this.#sweep(kill)
  }

  /** Processes that live and die together, under settings of their own. */
  #newGroup(kill) {
    const random = this.#random
    const settings = {
      place: { name: this.#database.name, place: this.#database.place },
      hasTriggers: this.#hasTriggers,
      lifecycle: {
        keepUnsavedSeconds: 3600,
        deleteAfterSeconds: random.pick([0, 0, 60]),
        onRollback: random.pick(['delete', 'delete', 'keep']),
      },
    }
    const env = { S3_ENDPOINT: this.#proxy.endpoint, S3_BUCKET: this.#bucket, S3_PREFIX: this.#prefix }
    return this.#database.roles.map(
      (role) => new Victim({ ...settings, role, name: `crash-${kill}-${role}` }, env),
    )
  }

  /** Resolves when neither server has anything left to do for processes that are dead. */
  async #untilSettled(group) {
    await this.#proxy.isQuiet()
    for (const { name, sessions } of group) await this.#database.untilGone(name, sessions)
  }

  /** Makes all entries due, has the janitor work them off, and looks whether the bucket equals the rows. */
  async #sweep(kill) {
    const entries = await makeDue(this.#database)
    this.#totals.entries += entries
    const janitors = [new FileJanitor(this.#dataSource, { batchSize: 10 }), new FileJanitor(this.#dataSource)]
    for (const { failed } of await Promise.all(janitors.map((janitor) => janitor.runOnce()))) {
      if (failed > 0) this.#fail(kill, [`the janitor failed on ${failed} entries`])
    }
    await this.#expectNone(kill, await this.#checks.equality())
    this.#proxy.forgetHistory()
    console.log(`${kill} kills, ${this.#seconds} s, ${entries} entries worked off`)
  }

  async #expectNone(kill, violations) {
    if (violations.length === 0) return
    const evidence = []
    for (const violation of violations) {
      const { rows, entries } = await this.#checks.evidence(violation.key)
      evidence.push({ ...violation, rows, entries, requests: this.#proxy.historyOf(violation.key) })
    }
    this.#fail(kill, evidence)
  }

  #fail(kill, findings) {
    const faults = this.#hasFaults(kill) ? ', with faults' : ''
    console.error(`\nVIOLATED on ${this.#where}: seed ${this.#seed}, kill ${kill}${faults}`)
    for (const finding of findings) console.dir(finding, { depth: 5, breakLength: 110 })
    throw new Violation(`${findings.length} violations; --seed ${this.#seed} tries the same again`)
  }

  #tellTotals() {
    const { deeds, entries } = this.#totals
    const sum = Object.values(deeds).reduce((all, count) => all + count, 0)
    console.log(
      `${this.#kills} kills in ${this.#seconds} s: ${sum} operations, ${this.#proxy.requests} requests to S3 ` +
        `(${this.#proxy.spoilt} spoilt), ${entries} journal entries worked off, ${this.#checks.proved} objects proved`,
    )
    for (const [deed, count] of Object.entries(deeds).sort()) console.log(`  ${deed}: ${count}`)
  }

  get #seconds() {
    return Math.round((Date.now() - this.#startedAt) / 1000)
  }

  async #cleanUp() {
    await this.#dataSource.destroy()
    await this.#database.drop()
    const keys = []
    for await (const { key } of this.#storage.list()) keys.push(key)
    await this.#storage.deleteMany(keys)
    await this.#proxy.stop()
    this.#s3.destroy()
  }
}
