import { DataSource, type DataSourceOptions, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import type { S3File } from '../../src/core/s3-file.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { failureOf } from '../support/error-of.ts'
import { RawRequest, startServer } from '../support/http-server.ts'
import { formBody, formType } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class Waiting {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true }) file!: S3File | null
}

const { s3, databaseUrl } = inject('servers')
const isServer = s3.kind !== 'embedded'
const isMariadb = databaseUrl.startsWith('mysql:')

/** PGlite is one session. */
const connections = isServer ? 2 : 1

describe('what waits for the journal', () => {
  let world: S3World
  let dataSource: DataSource
  beforeAll(async () => {
    world = await S3World.start()
    dataSource = new DataSource({
      ...dataSourceOptions(databaseUrl),
      extra: isMariadb ? { connectionLimit: connections } : { max: connections },
      entities: [Waiting, FileJournalEntry],
      subscribers: [S3FileSubscriber],
      synchronize: true,
      dropSchema: true,
    } as DataSourceOptions)
    await dataSource.initialize()
  })
  afterEach(async () => {
    await filesSettled()
    await dataSource.manager.clear(Waiting)
    await dataSource.manager.clear(FileJournalEntry)
    await world.clear()
  })
  afterAll(async () => {
    await dataSource.destroy()
    await world.stop()
  })

  const upload = (options: { signal?: AbortSignal } = {}) =>
    uploadFromStream(Buffer.from('a'), { into: [Waiting, 'file'], name: 'a.txt', ...options })
  const late = {
    code: 'journal-failed',
    statusCode: 503,
    message: expect.stringContaining('within 10 seconds: all connections of the pool are in use'),
  }

  /** Does work in as many transactions as there are connections, once all of them have begun. */
  async function inAllConnections<Result>(work: (index: number) => Promise<Result>): Promise<Result[]> {
    const runners = Array.from({ length: connections }, () => dataSource.createQueryRunner())
    try {
      for (const runner of runners) await runner.startTransaction()
      return await Promise.all(runners.map((_, index) => work(index)))
    } finally {
      for (const runner of runners) {
        await runner.rollbackTransaction()
        await runner.release()
      }
    }
  }

  /** All connections are back, and nothing that came too late is there. */
  async function expectNothingLeft(): Promise<void> {
    await expect.poll(() => dataSource.getRepository(FileJournalEntry).find(), { timeout: 5000 }).toEqual([])
    expect(await world.keys()).toEqual([])
    await Promise.all(
      Array.from({ length: connections }, () => dataSource.transaction(async () => undefined)),
    )
  }

  it('uploads within transactions that have all connections of the pool end with an error, and leave nothing', async () => {
    for (const error of await inAllConnections(() => failureOf(upload()))) expect(error).toMatchObject(late)
    await expectNothingLeft()
    const file = await upload()
    await dataSource.manager.save(Object.assign(new Waiting(), { file }))
    expect(await file.exists()).toBe(true)
  })

  it('discard() within transactions that have all connections of the pool ends with an error, and the file stays an upload', async () => {
    const file = await upload()
    const [error] = await inAllConnections((index) =>
      index === 0 ? failureOf(file.discard()) : Promise.resolve(undefined),
    )
    expect(error).toMatchObject({ code: 'journal-failed', statusCode: 503 })
    await dataSource.transaction(async () => undefined)
    await dataSource.manager.save(Object.assign(new Waiting(), { file }))
    await filesSettled()
    expect(await file.exists()).toBe(true)
  })

  it('an upload whose signal is aborted stops waiting at once, and writes no entry later', async () => {
    const abort = new AbortController()
    const [error] = await inAllConnections(async (index) => {
      if (index > 0) return undefined
      const failure = failureOf(upload({ signal: abort.signal }))
      setTimeout(() => abort.abort(new Error('enough')), 100)
      return failure
    })
    expect(error).toMatchObject({ code: 'upload-aborted', cause: { message: 'enough' } })
    await dataSource.transaction(async () => undefined)
    await expectNothingLeft()
  })

  it('an upload whose client leaves stops waiting, and writes no entry later', async () => {
    const outcomes: unknown[] = []
    const server = await startServer((request) =>
      uploadFromRequest(request, { into: [Waiting, 'file'] }).catch((error: unknown) => {
        outcomes.push(error)
        throw error
      }),
    )
    await inAllConnections(async (index) => {
      if (index > 0) return
      const body = formBody({ name: 'file', filename: 'a.txt', content: Buffer.from('a') })
      const request = await RawRequest.open(server.port, {
        'content-type': formType,
        'content-length': body.length,
      })
      request.socket.write(body)
      await vi.waitUntil(() => server.outcomes.length === 1)
      await new Promise((resolve) => setTimeout(resolve, 200))
      request.socket.destroy()
      await expect.poll(() => outcomes, { timeout: 5000 }).toMatchObject([{ code: 'client-gone' }])
    })
    await server.stop()
    await expectNothingLeft()
  })

  it.skipIf(!isServer)(
    'uploads under a locked journal end with an error, and their entries do not stay',
    async () => {
      const runner = dataSource.createQueryRunner()
      await runner.query(isMariadb ? 'LOCK TABLES file_journal WRITE' : 'BEGIN')
      if (!isMariadb) await runner.query('LOCK TABLE file_journal IN ACCESS EXCLUSIVE MODE')
      const errors = await Promise.all([failureOf(upload()), failureOf(upload())])
      await runner.query(isMariadb ? 'UNLOCK TABLES' : 'COMMIT')
      await runner.release()
      for (const error of errors) expect(error).toMatchObject(late)
      await dataSource.transaction(async () => undefined)
      await expectNothingLeft()
    },
  )
})
