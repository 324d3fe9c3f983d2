// One process of the application: says when it is ready, works from the moment it is told to, and goes on until it is
// killed.
import { configureStorages, FileJanitor, isS3FileError, S3Storage } from '../../dist/esm/index.js'
import { Random } from './random.mjs'
import { Workload } from './workload.mjs'
import { newDataSource, newS3Client } from './world.mjs'

/** Errors that concurrent transactions on the same rows bring with them. */
const expectedInPostgres = ['40P01', '23505'] // deadlock, two inserts of one row

/** Errors that an application has to expect. */
const expectedCodes = ['file-gone', 'storage-busy', 'storage-failed', 'storage-unreachable', 'upload-aborted']

/** Transactions that go on at once. */
const concurrency = 8

/** Each transaction may want a second connection, for the entries of its uploads. */
const connections = concurrency * 2 + 3

/** A process that has just started is slow; it counts as working once it has done something. */
const deedsUntilWarm = 10

const { name, lifecycle } = JSON.parse(process.env.CRASH_WORKER)

function isExpected(error) {
  if (isS3FileError(error) && expectedCodes.includes(error.code)) return true
  return [error, error?.cause].some((each) => expectedInPostgres.includes(each?.code))
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
    if (error.name !== 'NodeVersionSupportWarning') complain(event, error)
  })
}

const client = newS3Client(process.env.S3_ENDPOINT)
const partSizeBytes = 5 * 1024 * 1024
const { S3_BUCKET: bucket, S3_PREFIX: keyPrefix } = process.env
configureStorages({ default: new S3Storage({ bucket, client, keyPrefix, partSizeBytes }) })
const dataSource = newDataSource(process.env.DATABASE_URL, {
  applicationName: name,
  poolSize: connections,
  lifecycle: { ...lifecycle, onCleanupError: (error) => report('cleanup', error) },
})
await dataSource.initialize()
await Promise.all(Array.from({ length: concurrency }, () => dataSource.query('SELECT')))
process.send('ready')

process.on('message', ({ seed }) => {
  new FileJanitor(dataSource, { intervalSeconds: 1, onError: (error) => report('janitor', error) }).start()
  for (let index = 0; index < concurrency; index++) {
    new Workload(dataSource, new Random(seed + index), report).run()
  }
  setInterval(() => process.send({ counts }), 10)
})
