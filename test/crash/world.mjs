import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { S3Client } from '@aws-sdk/client-s3'
import { Column, DataSource, Entity, EntitySchema, PrimaryColumn } from 'typeorm'
import { FileJournalEntry, S3FileField, S3FileSubscriber, s3FileColumn } from '../../dist/esm/index.js'

/** The tables of the crash test have a schema of their own. */
export const schema = 'crash_test'

/** Rows have one of these ids, so that transactions meet. */
export const rowIds = { least: 1, most: 6 }

/** Each way to keep files in one column. */
export const Paper = new EntitySchema({
  name: 'paper',
  schema,
  columns: {
    id: { type: 'int', primary: true },
    note: { type: 'varchar', nullable: true },
    file: s3FileColumn({ nullable: true, keyPrefix: 'paper' }),
    path: s3FileColumn({ nullable: true, layout: 'key' }),
    pages: s3FileColumn({ nullable: true, multiple: true, column: { type: 'jsonb' } }),
  },
})

/** A class, decorated by hand, with the file in several columns. */
export class Picture {}
PrimaryColumn({ type: 'int' })(Picture.prototype, 'id')
Column({ type: 'varchar', nullable: true })(Picture.prototype, 'note')
S3FileField({ nullable: true, layout: 'columns', keyPrefix: 'picture' })(Picture.prototype, 'file')
S3FileField({ nullable: true, column: { type: 'text' } })(Picture.prototype, 'thumbnail')
Entity({ name: 'picture', schema })(Picture)

export function newDataSource(url, options = {}) {
  const { lifecycle = {}, ...others } = options
  return new DataSource({
    type: 'postgres',
    url,
    schema,
    installExtensions: false,
    entities: [Paper, Picture, FileJournalEntry],
    subscribers: [S3FileSubscriber.with(lifecycle)],
    ...others,
  })
}

/** A client that does not wait long before it tries again: a process lives for less than half a second here. */
export function newS3Client(endpoint) {
  return new S3Client(s3ClientConfig(endpoint))
}

export function s3ClientConfig(endpoint) {
  return {
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: process.env.AWS_ACCESS_KEY_ID,
      secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
    },
    retryStrategy: impatientRetries(3),
  }
}

function impatientRetries(attempts) {
  const token = (count) => ({ getRetryCount: () => count, getRetryDelay: () => 5 })
  return {
    mode: 'standard',
    acquireInitialRetryToken: async () => token(0),
    refreshRetryTokenForRetry: async (last, { errorType }) => {
      const count = last.getRetryCount() + 1
      if (count >= attempts || !['TRANSIENT', 'THROTTLING'].includes(errorType)) throw new Error('give up')
      return token(count)
    },
    recordSuccess() {},
  }
}

/**
 * Sees to it that the environment names a PostgreSQL and an S3 server: given, started before by test/servers/start,
 * or started now.
 *
 * @returns what stops those that were started.
 */
export function findServers() {
  const { env } = process
  if (env.DATABASE_URL !== undefined && env.S3_ENDPOINT !== undefined) return () => undefined
  const known = '.servers/endpoints.json'
  const read = () => (existsSync(known) ? JSON.parse(readFileSync(known, 'utf8')) : {})
  const areRunning = read().postgres !== undefined && read().versitygw !== undefined
  if (!areRunning) run('test/servers/start', 'postgres', 'versitygw')
  const { postgres, versitygw } = read()
  env.DATABASE_URL = postgres
  env.S3_ENDPOINT = versitygw.endpoint
  env.AWS_ACCESS_KEY_ID = versitygw.accessKeyId
  env.AWS_SECRET_ACCESS_KEY = versitygw.secretAccessKey
  return areRunning ? () => undefined : () => run('test/servers/stop')
}

function run(...command) {
  const { status } = spawnSync('bash', command, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${command.join(' ')} failed`)
}
