// The application under load, in a process of its own: takes a file for a row, and saves it, or does not.
import { Agent, createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  configureStorages,
  FileJanitor,
  isS3FileError,
  S3Storage,
  setPartMemoryLimit,
  uploadFromRequest,
} from '../../dist/esm/index.js'
import { databases } from '../crash/databases.mjs'
import { newDataSource, Paper, s3ClientConfig } from '../crash/world.mjs'
import { observe } from '../fuzz/observed.mjs'

const MiB = 1024 * 1024
const connections = 16

/** Fails a handler, or a transaction, on purpose. */
class OnPurpose extends Error {}

const { endpoint, bucket, keyPrefix, databaseUrl } = JSON.parse(process.env.SITE_SETTINGS)
const agent = new Agent({ keepAlive: true })
const clientConfig = {
  ...s3ClientConfig(endpoint),
  requestHandler: { httpAgent: agent },
  cacheMiddleware: true, // As without a retry strategy.
}
setPartMemoryLimit(16 * MiB) // Less than all want at times.
configureStorages({ default: new S3Storage({ bucket, clientConfig, keyPrefix, partSizeBytes: 5 * MiB }) })
const dataSource = newDataSource(databases.postgres(databaseUrl), 'soak', {
  poolSize: connections,
  extra: { idleTimeoutMillis: 0 }, // So that their number does not change.
  lifecycle: { keepUnsavedSeconds: 60, onCleanupError: () => undefined }, // The janitor tries again.
})
await dataSource.initialize()
await Promise.all(Array.from({ length: connections }, () => dataSource.query('SELECT pg_sleep(0.2)')))
new FileJanitor(dataSource, { intervalSeconds: 5 }).start()

const server = createServer(async (request, response) => {
  const { searchParams } = new URL(request.url, 'http://site')
  const id = Number(searchParams.get('case'))
  process.send({ begun: id })
  response.on('error', () => undefined)
  const outcome = await outcomeOf(request, id)
  process.send({ id, outcome })
  response.writeHead(outcome.statusCode).end()
})
await sleep(1000) // Until the janitor waits.
observe(server, agent)

async function outcomeOf(request, id) {
  try {
    const file = await uploadFromRequest(request, {
      into: [Paper, 'file'],
      limits: { idleTimeoutSeconds: 3 },
    })
    if (id % 20 === 0) throw new OnPurpose('the handler has failed before its row was saved')
    await dataSource.transaction(async (manager) => {
      const row = await manager.findOneByOrFail(Paper, { id: 1 + (id % 50) })
      row.file = id % 15 === 0 ? null : file
      await manager.save(Paper, row)
      if (id % 10 === 1) throw new OnPurpose('rolled back')
    })
    return { statusCode: 200 }
  } catch (error) {
    if (error instanceof OnPurpose) return { statusCode: 500, code: 'on-purpose' }
    if (isS3FileError(error) && (error.statusCode !== 500 || error.code === 'file-gone')) {
      return { statusCode: error.statusCode, code: error.code }
    }
    return { statusCode: 500, flaw: `unexpected: ${error?.stack ?? error}` }
  }
}
