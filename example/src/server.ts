import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { S3Client } from '@aws-sdk/client-s3'
import { DataSource } from 'typeorm'
import { configureStorages, FileJanitor, S3FileSubscriber, S3Storage } from 'typeorm-s3-file'
import { createApp } from './app.js'
import { createBucketIfMissing } from './bucket.js'
import { Document } from './document.js'
import { Journal } from './journal.js'
import { JournalFeed } from './journal-feed.js'
import { Profile } from './profile.js'
import type { Settings } from './settings.js'

/** Long enough to watch in the journal. */
export const deleteAfterSeconds = 10

export interface RunningServer {
  address: string
  dataSource: DataSource
  client: S3Client
  stop: () => Promise<void>
}

export async function startServer({ port, bucket, s3, database }: Settings): Promise<RunningServer> {
  const client = new S3Client(s3)
  await createBucketIfMissing(client, bucket)
  // Links that end while one looks.
  const urls = { expiresInSeconds: 120, windowSeconds: 30 }
  configureStorages({ default: new S3Storage({ bucket, client, urls }) })

  const dataSource = new DataSource({
    ...database,
    entities: [Document, Profile, Journal],
    subscribers: [S3FileSubscriber.with({ deleteAfterSeconds })],
    synchronize: true,
  })
  await dataSource.initialize()
  const feed = new JournalFeed(dataSource, deleteAfterSeconds)
  const janitor = new FileJanitor(dataSource, { intervalSeconds: 1 })
  janitor.start()

  const server = createApp(dataSource, feed).listen(port, '127.0.0.1')
  // Node would end a request after five minutes, which a large file may take. A connection on which nothing moves
  // still ends.
  server.requestTimeout = 0
  server.setTimeout(120_000)
  const stop = async () => {
    server.close()
    server.closeAllConnections()
    await janitor.stop()
    await feed.stop()
    await dataSource.destroy()
    client.destroy()
  }
  try {
    await once(server, 'listening')
  } catch (error) {
    await stop()
    throw error
  }
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { address, dataSource, client, stop }
}
