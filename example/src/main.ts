import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { S3Client } from '@aws-sdk/client-s3'
import { DataSource } from 'typeorm'
import { configureStorages, FileJanitor, S3FileSubscriber, S3Storage } from 'typeorm-s3-file'
import { createApp } from './app.js'
import { createBucketIfMissing } from './bucket.js'
import { Document, Journal } from './document.js'
import { makeRoundTrip } from './round-trip.js'
import { watchParts } from './sent-parts.js'
import { loadSettings } from './settings.js'

const { port, bucket, s3, database, stopServers } = await loadSettings()

const client = new S3Client(s3)
await createBucketIfMissing(client, bucket)
configureStorages({ default: new S3Storage({ bucket, client }) })

const dataSource = new DataSource({
  ...database,
  entities: [Document, Journal],
  subscribers: [S3FileSubscriber],
  synchronize: true,
})
await dataSource.initialize()
const janitor = new FileJanitor(dataSource)
janitor.start()

const server = createApp(dataSource).listen(port, '127.0.0.1')
// Node would end a request after five minutes, which a large file may take. A connection on which nothing moves
// still ends.
server.requestTimeout = 0
server.setTimeout(120_000)
await once(server, 'listening')
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

await makeRoundTrip(address, dataSource, watchParts(client))

if (process.argv.includes('--once')) {
  await stop()
} else {
  console.log(`The page is at ${address}, until Ctrl-C.`)
  process.once('SIGINT', stop).once('SIGTERM', stop)
}

async function stop(): Promise<void> {
  server.close()
  server.closeAllConnections()
  await janitor.stop()
  await dataSource.destroy()
  stopServers()
}
