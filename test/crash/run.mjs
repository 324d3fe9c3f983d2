// Kills processes that work on files at random instants, and looks each time whether anything was lost or left behind.
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3'
import pg from 'pg'
import { configureStorages, FileJanitor, S3Storage } from '../../dist/esm/index.js'
import { Checks } from './checks.mjs'
import { FaultProxy } from './fault-proxy.mjs'
import { Random } from './random.mjs'
import { Victim } from './victim.mjs'
import { findServers, newDataSource, newS3Client, schema } from './world.mjs'

/** Kills between two runs of the janitor. */
const killsPerRound = 10

/** How long a process lives once it is at work. */
const lifeMs = { least: 20, most: 400 }

/** The part of the requests to S3 that is spoilt, with faults. */
const faultRate = 1 / 3

/** What must never be was seen. */
class Violation extends Error {}

const { kills, seed, hasFaults } = readArguments()
const random = new Random(seed)
const totals = { deeds: {}, entries: 0 }
const startedAt = Date.now()
process.once('exit', findServers())
const { DATABASE_URL, S3_ENDPOINT, S3_BUCKET: bucket = 'test-bucket' } = process.env
const prefix = `crash-${randomBytes(6).toString('hex')}/`
const s3 = newS3Client(S3_ENDPOINT)
const storage = new S3Storage({ bucket, client: s3, keyPrefix: prefix })
const database = new pg.Client(DATABASE_URL)
const dataSource = newDataSource(DATABASE_URL, { synchronize: true })
const proxy = new FaultProxy(S3_ENDPOINT, new Random(seed + 1))
const checks = new Checks({ database, s3, bucket, prefix })
/** The one that works, and those that are getting ready. */
const victims = new Set()
let newest = 0

await prepare()
try {
  await crash()
  tellTotals()
} catch (error) {
  console.error(error instanceof Violation ? error.message : error)
  process.exitCode = 1
} finally {
  for (const victim of victims) await victim.kill()
  await cleanUp()
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      faults: { type: 'boolean' },
    },
    allowNegative: true,
  })
  const [kills, seed] = [Number(values.kills), Number(values.seed)]
  if (!(Number.isInteger(kills) && kills > 0 && Number.isInteger(seed))) {
    throw new Error('usage: npm run test:crash -- [--kills 300] [--seed NUMBER] [--faults | --no-faults]')
  }
  // Without being told, every other process has them.
  return { kills, seed, hasFaults: (kill) => values.faults ?? kill % 2 === 0 }
}

async function prepare() {
  console.log(`crash test: seed ${seed}, ${kills} kills`)
  await proxy.start()
  await s3
    .send(new HeadBucketCommand({ Bucket: bucket }))
    .catch(() => s3.send(new CreateBucketCommand({ Bucket: bucket })))
  await database.connect()
  await database.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}`)
  configureStorages({ default: storage })
  await dataSource.initialize()
}

async function crash() {
  for (let kill = 1; kill <= kills; kill++) {
    while (victims.size < 3 && newest < kills) victims.add(newVictim(++newest))
    const [victim] = victims
    proxy.faultRate = hasFaults(kill) ? faultRate : 0
    await victim.work(seed + 1000 * kill)
    await sleep(random.between(lifeMs.least, lifeMs.most))
    await victim.kill()
    victims.delete(victim)
    for (const [deed, count] of Object.entries(victim.counts)) {
      totals.deeds[deed] = (totals.deeds[deed] ?? 0) + count
    }
    await untilSettled(victim)
    if (victim.unexpected.length > 0) fail(kill, victim.unexpected)
    await expectNone(kill, await checks.invariant())
    if (kill % killsPerRound === 0 || kill === kills) await sweep(kill)
  }
}

/** Each lives under other settings. */
function newVictim(kill) {
  const lifecycle = {
    keepUnsavedSeconds: 3600,
    deleteAfterSeconds: random.pick([0, 0, 60]),
    onRollback: random.pick(['delete', 'delete', 'keep']),
  }
  const servers = { S3_ENDPOINT: proxy.endpoint, S3_BUCKET: bucket, S3_PREFIX: prefix }
  return new Victim(`crash-${kill}`, servers, lifecycle)
}

/** Resolves when neither server has anything left to do for a process that is dead. */
async function untilSettled({ name }) {
  await proxy.isQuiet()
  const sessions = 'SELECT FROM pg_stat_activity WHERE application_name = $1'
  while ((await database.query(sessions, [name])).rowCount > 0) await sleep(1)
}

/** Makes all entries due, has the janitor work them off, and looks whether the bucket equals the rows. */
async function sweep(kill) {
  const { rowCount } = await database.query(
    `UPDATE ${schema}.file_journal SET "dueAt" = '2000-01-01T00:00:00.000Z', since = '2000-01-01T00:00:00.000Z', ` +
      `"claimedUntil" = CASE WHEN "claimedUntil" IS NOT NULL THEN '2000-01-01T00:00:00.000Z' END`,
  )
  totals.entries += rowCount
  const janitors = [new FileJanitor(dataSource, { batchSize: 10 }), new FileJanitor(dataSource)]
  for (const { failed } of await Promise.all(janitors.map((janitor) => janitor.runOnce()))) {
    if (failed > 0) fail(kill, [`the janitor failed on ${failed} entries`])
  }
  await expectNone(kill, await checks.equality())
  proxy.forgetHistory()
  console.log(`${kill} kills, ${seconds()} s, ${rowCount} entries worked off`)
}

async function expectNone(kill, violations) {
  if (violations.length === 0) return
  const evidence = []
  for (const violation of violations) {
    const { rows, entries } = await checks.evidence(violation.key)
    evidence.push({ ...violation, rows, entries, requests: proxy.historyOf(violation.key) })
  }
  fail(kill, evidence)
}

function fail(kill, findings) {
  console.error(`\nVIOLATED: seed ${seed}, kill ${kill}${hasFaults(kill) ? ', with faults' : ''}`)
  for (const finding of findings) console.dir(finding, { depth: 5, breakLength: 110 })
  throw new Violation(`${findings.length} violations; --seed ${seed} tries the same again`)
}

function tellTotals() {
  const { deeds } = totals
  const sum = Object.values(deeds).reduce((all, count) => all + count, 0)
  console.log(
    `\n${kills} kills in ${seconds()} s: ${sum} operations, ${proxy.requests} requests to S3 (${proxy.spoilt} spoilt), ` +
      `${totals.entries} journal entries worked off, ${checks.proved} objects proved`,
  )
  for (const [deed, count] of Object.entries(deeds).sort()) console.log(`  ${deed}: ${count}`)
}

function seconds() {
  return Math.round((Date.now() - startedAt) / 1000)
}

async function cleanUp() {
  await database.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await Promise.all([dataSource.destroy(), database.end()])
  const keys = []
  for await (const { key } of storage.list()) keys.push(key)
  await storage.deleteMany(keys)
  await proxy.stop()
  s3.destroy()
}
