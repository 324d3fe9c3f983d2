// Puts an application under load for a while: uploads of many sizes, clients that go or fall silent, an S3 that fails. In between
// it is left alone and looked at: its memory must not grow, nothing may stay open, and in the end the bucket holds what
// rows refer to.
import { randomBytes, randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3'
import { configureStorages, FileJanitor, S3Storage } from '../../dist/esm/index.js'
import { Checks } from '../crash/checks.mjs'
import { databases, makeDue } from '../crash/databases.mjs'
import { FaultProxy } from '../crash/fault-proxy.mjs'
import { Random } from '../crash/random.mjs'
import { findServers, newDataSource, newS3Client, Paper } from '../crash/world.mjs'
import { deliver } from '../fuzz/deliver.mjs'
import { SiteProcess } from '../fuzz/site-process.mjs'
import { slopeOf } from './slope.mjs'
import { randomUpload } from './upload.mjs'

const MiB = 1024 * 1024
const clients = 12
const secondsUnderLoad = 10

/** The part of the requests to S3 that is spoilt. */
const faultRate = 0.15

/** What is made once is made by then. */
const warmUpShare = 1 / 4

/** The growth over the whole time, by the line through all looks, that noise may make. */
const mostGrowth = { rss: 32 * MiB, used: 8 * MiB }

const { minutes, seed } = readArguments()
const random = new Random(seed)
const startedAt = Date.now()
const { urls, stop } = findServers(['postgres'])
process.once('exit', stop)
const { S3_ENDPOINT, S3_BUCKET: bucket = 'test-bucket' } = process.env
const keyPrefix = `soak-${randomBytes(6).toString('hex')}/`
const s3 = newS3Client(S3_ENDPOINT)
const storage = new S3Storage({ bucket, client: s3, keyPrefix })
const database = databases.postgres(urls.postgres)
const dataSource = newDataSource(database, 'soak', { synchronize: true })
const proxy = new FaultProxy(S3_ENDPOINT, new Random(seed + 1))
const flaws = []
const outcomes = {}
const looks = []
let site
let uploads = 0
let sentBytes = 0

await prepare()
try {
  while (minutesGone() < minutes && flaws.length === 0) await cycle()
  judgeMemory()
  await site.stop()
  await sweep()
  tell()
} finally {
  await cleanUp()
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    },
  })
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
  if (!(minutes > 0 && Number.isInteger(seed))) {
    throw new Error('usage: npm run soak -- [--minutes 20] [--seed NUMBER]')
  }
  return { minutes, seed }
}

async function prepare() {
  console.log(`soak: seed ${seed}, ${minutes} minutes, ${clients} clients`)
  await proxy.start()
  await s3
    .send(new HeadBucketCommand({ Bucket: bucket }))
    .catch(() => s3.send(new CreateBucketCommand({ Bucket: bucket })))
  await database.create()
  configureStorages({ default: storage })
  await dataSource.initialize()
  await dataSource.getRepository(Paper).save(Array.from({ length: 50 }, (_, index) => ({ id: index + 1 })))
  const settings = { endpoint: proxy.endpoint, bucket, keyPrefix, databaseUrl: urls.postgres }
  site = await SiteProcess.start(new URL('site.mjs', import.meta.url), settings)
}

/** A while under load, then a look at what is held. */
async function cycle() {
  proxy.faultRate = faultRate
  const end = Date.now() + secondsUnderLoad * 1000
  const client = async () => {
    while (Date.now() < end) await upload()
  }
  await Promise.all(Array.from({ length: clients }, client))
  proxy.faultRate = 0
  proxy.forgetHistory()
  flaws.push(...(await site.leftovers()), ...site.takeComplaints())
  const memory = await site.memory()
  looks.push({ minute: minutesGone(), ...memory })
  console.log(
    `${minutesGone().toFixed(1)} min: ${uploads} uploads, RSS ${inMiB(memory.rss)}, used ${inMiB(memory.used)}`,
  )
}

async function upload() {
  const id = ++uploads
  const given = randomUpload(random)
  const { begun, outcome } = site.expect(id)
  const [status, told] = await Promise.all([deliver(site.port, id, given, begun), outcome])
  sentBytes += given.keep ?? given.form.parts[0].content.size
  const name = told.code ?? 'saved'
  outcomes[name] = (outcomes[name] ?? 0) + 1
  if (told.flaw !== undefined) flaws.push(told.flaw)
  if (given.end === 'whole' && status !== told.statusCode)
    flaws.push(`answered with ${status}, not ${told.statusCode}`)
}

function judgeMemory() {
  const settled = looks.filter(({ minute }) => minute > minutes * warmUpShare)
  if (settled.length < 3) {
    flaws.push(`${settled.length} looks after the warm-up say nothing of memory`)
    return
  }
  const span = settled.at(-1).minute - settled[0].minute
  for (const [what, most] of Object.entries(mostGrowth)) {
    const slope = slopeOf(settled.map((look) => [look.minute, look[what]]))
    console.log(
      `${what} after the warm-up: ${inMiB(slope)} a minute, ${inMiB(slope * span)} in all; from ` +
        `${inMiB(Math.min(...settled.map((look) => look[what])))} to ${inMiB(Math.max(...settled.map((look) => look[what])))}`,
    )
    if (slope * span > most) flaws.push(`${what} grows by ${inMiB(slope)} a minute`)
  }
}

/** Makes all entries due, has the janitor work them off, and looks whether the bucket equals the rows. */
async function sweep() {
  await proxy.isQuiet()
  const entries = await makeDue(database)
  const report = await new FileJanitor(dataSource).runOnce()
  const violations = await new Checks({ database, s3, bucket, prefix: keyPrefix }).equality()
  console.log(`the janitor worked off ${entries} entries: ${JSON.stringify(report)}`)
  if (report.failed > 0) flaws.push(`the janitor failed on ${report.failed} entries`)
  flaws.push(...violations.map(({ key, what }) => `${what}: ${key}`))
}

function tell() {
  const rate = (uploads / minutesGone() / 60).toFixed(1)
  console.log(
    `${uploads} uploads (${rate} a second), ${inMiB(sentBytes)}, ${proxy.requests} requests to S3, ${proxy.spoilt} spoilt`,
  )
  for (const [name, count] of Object.entries(outcomes).sort()) console.log(`  ${name}: ${count}`)
  for (const flaw of flaws) console.error(`FAILED: ${flaw}`)
  if (flaws.length > 0) process.exitCode = 1
  else console.log('fine: no handle, object or multipart upload too many')
}

function minutesGone() {
  return (Date.now() - startedAt) / 60_000
}

function inMiB(bytes) {
  return `${(bytes / MiB).toFixed(1)} MiB`
}

async function cleanUp() {
  await dataSource.destroy()
  await database.drop()
  const keys = []
  for await (const { key } of storage.list()) keys.push(key)
  await storage.deleteMany(keys)
  await proxy.stop()
  s3.destroy()
}
