import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { S3Client } from '@aws-sdk/client-s3'
import { Column, DataSource, Entity, EntitySchema, PrimaryColumn } from 'typeorm'
import { FileJournalEntry, S3FileField, S3FileSubscriber, s3FileColumn } from '../../dist/esm/index.js'

/** Rows have one of these ids, so that transactions meet. */
export const rowIds = { least: 1, most: 6 }

/** Each way to keep files in one column. */
export const Paper = new EntitySchema({
  name: 'paper',
  columns: {
    id: { type: 'int', primary: true },
    note: { type: 'varchar', length: 100, nullable: true },
    file: s3FileColumn({ nullable: true, keyPrefix: 'paper' }),
    path: s3FileColumn({ nullable: true, layout: 'key' }),
    pages: s3FileColumn({ nullable: true, multiple: true }),
  },
})

/** A class, decorated by hand, with the file in several columns. */
export class Picture {}
PrimaryColumn({ type: 'int' })(Picture.prototype, 'id')
Column({ type: 'varchar', length: 100, nullable: true })(Picture.prototype, 'note')
S3FileField({ nullable: true, layout: 'columns', keyPrefix: 'picture' })(Picture.prototype, 'file')
S3FileField({ nullable: true, column: { type: 'text' } })(Picture.prototype, 'thumbnail')
Entity({ name: 'picture' })(Picture)

export function newDataSource(database, name, { lifecycle = {}, ...options } = {}) {
  return new DataSource({
    ...database.options(name),
    entities: [Paper, Picture, FileJournalEntry],
    subscribers: [S3FileSubscriber.with(lifecycle)],
    ...options,
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
 * Finds an S3 server and the database servers among `names`: those that the environment names (S3_ENDPOINT, POSTGRES_URL,
 * MARIADB_URL), those that test/servers/start has started before, or those that are started now.
 *
 * @returns their URLs by name, and what stops those that were started.
 */
export function findServers(names) {
  const { env } = process
  const wanted = names.filter((name) => name !== 'sqlite')
  const urls = { postgres: env.POSTGRES_URL, mariadb: env.MARIADB_URL, sqlite: undefined }
  if (env.S3_ENDPOINT !== undefined && wanted.every((name) => urls[name] !== undefined)) {
    return { urls, stop: () => undefined }
  }
  const known = '.servers/endpoints.json'
  const read = () => (existsSync(known) ? JSON.parse(readFileSync(known, 'utf8')) : {})
  const needed = [...wanted, 'versitygw']
  const areRunning = needed.every((name) => read()[name] !== undefined)
  if (!areRunning) run('test/servers/start', ...needed)
  const { postgres, mariadb, versitygw } = read()
  env.S3_ENDPOINT = versitygw.endpoint
  env.AWS_ACCESS_KEY_ID = versitygw.accessKeyId
  env.AWS_SECRET_ACCESS_KEY = versitygw.secretAccessKey
  return { urls: { postgres, mariadb }, stop: areRunning ? () => undefined : () => run('test/servers/stop') }
}

function run(...command) {
  const { status } = spawnSync('bash', command, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${command.join(' ')} failed`)
}
