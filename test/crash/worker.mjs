// One process: an application, or a janitor beside one. Says when it is ready, works from the moment it is told to, and
// goes on until it is killed.
import { setTimeout as sleep } from 'node:timers/promises'
import { configureStorages, FileJanitor, isS3FileError, S3Storage } from '../../dist/esm/index.js'
import { databaseAt } from './databases.mjs'
import { Random } from './random.mjs'
import { Workload } from './workload.mjs'
import { newDataSource, newS3Client } from './world.mjs'

/** Errors that an application has to expect. */
const expectedCodes = [
  'file-changed',
  'file-gone',
  'file-saved',
  'storage-busy',
  'storage-failed',
  'storage-unreachable',
  'upload-aborted',
]

/** A process that has just started is slow; it counts as working once it has done something. */
const deedsUntilWarm = 10

const { name, role, place, hasTriggers, lifecycle } = JSON.parse(process.env.CRASH_WORKER)
const database = databaseAt(place)
const { concurrency } = database

/** Each transaction may want a second connection, for the entries of its uploads. */
const connections = concurrency * 2 + 3

function isExpected(error) {
  for (let each = error; each; each = each.cause) {
    if (isS3FileError(each) && expectedCodes.includes(each.code)) return true
    if (database.expectedErrors.includes(each.code)) return true
    if (isRefusedByTrigger(each)) return true
  }
  return false
}

/** A trigger has found that the object which a bulk statement gives to a row is being deleted. */
function isRefusedByTrigger(error) {
  return hasTriggers && /s3file: an object of this statement is being deleted/.test(error.message)
}

function complain(what, error) {
  const cause = error?.cause === undefined ? '' : `\ncaused by ${error.cause.stack ?? error.cause}`
  process.send({ unexpected: `${what}: ${error?.stack ?? error}${cause}` })
}

const counts = {}
let done = 0
function report(deed, error) {
  const key = error === undefined ? deed : `${deed} failed (${error?.code ?? error?.name})`
  counts[key] = (counts[key] ?? 0) + 1
  if (++done === deedsUntilWarm) process.send('working')
  if (error !== undefined && !isExpected(error)) complain(deed, error)
}

process.on('disconnect', () => process.exit())
for (const event of ['unhandledRejection', 'uncaughtException', 'warning']) {
  process.on(event, (error) => {
    // The SDK's word on Node 20 is not ours.
    if (!/NodeVersionSupportWarning/.test(error)) complain(event, error)
  })
}

const client = newS3Client(process.env.S3_ENDPOINT)
const partSizeBytes = 5 * 1024 * 1024
const { S3_BUCKET: bucket, S3_PREFIX: keyPrefix } = process.env
configureStorages({ default: new S3Storage({ bucket, client, keyPrefix, partSizeBytes }) })
const dataSource = newDataSource(database, name, {
  poolSize: connections,
  lifecycle: { ...lifecycle, onCleanupError: (error) => report('cleanup', error) },
})
await dataSource.initialize()
process.send({ sessions: await database.openSessions(dataSource, connections) })
process.send('ready')

const newWorkload = (seed) => new Workload({ dataSource, database, hasTriggers }, new Random(seed), report)

const roles = {
  application(seed) {
    new FileJanitor(dataSource, { intervalSeconds: 1, onError: (error) => report('janitor', error) }).start()
    for (let index = 0; index < concurrency; index++) {
      newWorkload(seed + index).run()
    }
    if (concurrency === 1) newWorkload(seed + 1).runUploads()
  },
  async janitor(seed) {
    const random = new Random(seed)
    while (true) {
      try {
        await new FileJanitor(dataSource, { batchSize: random.pick([1, 3, 1000]) }).runOnce()
        report('janitor beside')
      } catch (error) {
        report('janitor beside', error)
      }
      await sleep(random.between(0, 30))
    }
  },
}

process.on('message', ({ seed }) => {
  roles[role](seed)
  setInterval(() => process.send({ counts }), 10)
})
