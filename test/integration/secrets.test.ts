import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { DataSource } from 'typeorm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { isS3FileError, type S3FileErrorCode } from '../../src/core/errors.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { withUrls } from '../../src/core/with-urls.ts'
import { filesSettled } from '../../src/orm/cleanup-queue.ts'
import { FileJanitor } from '../../src/orm/file-janitor.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import type { S3StorageOptions } from '../../src/storage/s3-storage-options.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { CliProject } from '../support/cli-project.ts'
import { silentLogger } from '../support/database.ts'
import { Paper } from '../support/lifecycle-entities.ts'
import { type Failure, QuotingStore } from '../support/quoting-store.ts'
import { dataSourceOptions } from '../support/servers.ts'

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7SECRETS',
  secretAccessKey: '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',
  sessionToken: 'FwoGZXIvYXdzEwellkepttoken//////////wEaDK8=',
}

/** What must appear nowhere: the values, and what would stand before a signature or in a presigned URL. */
const secrets = [...Object.values(credentials), 'hunter2', 'AWS4-HMAC-SHA256 Credential=A']
const shapes = [
  /X-Amz-Signature["']?[=:]\s*["']?[0-9a-f]{8}/i,
  /X-Amz-Credential["']?[=:]\s*["']?\w/i,
  /Signature=[0-9a-f]{8}/i,
  /x-amz-security-token["']?\s*[=:]\s*["']?\w/i,
  /authorization["']?\s*[=:]\s*["']?\w/i,
]

function expectNoSecret(...texts: string[]): void {
  for (const text of texts) {
    for (const secret of secrets) {
      for (const form of [secret, encodeURIComponent(secret)]) expect(text).not.toContain(form)
    }
    for (const shape of shapes) expect(text).not.toMatch(shape)
  }
}

/** Every way to look at a value that somebody may log. */
function viewsOf(value: unknown): string[] {
  const whole = { depth: Number.POSITIVE_INFINITY, maxStringLength: null, maxArrayLength: null }
  const hidden = inspect(value, { ...whole, showHidden: true, getters: true })
  return [hidden, inspect(value, whole), inspect(value), JSON.stringify(value) ?? '', String(value)]
}

let store: QuotingStore
const said: string[] = []
const onWarning = (warning: Error) => said.push(...viewsOf(warning))

beforeAll(async () => {
  store = await QuotingStore.start()
})
afterAll(() => store.stop())
beforeEach(() => {
  said.length = 0
  process.on('warning', onWarning)
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...told) => void said.push(...told.flatMap(viewsOf)))
  }
})
afterEach(async () => {
  await new Promise(setImmediate) // Warnings come later.
  process.off('warning', onWarning)
  vi.restoreAllMocks()
  configureStorages({})
  expectNoSecret(...said)
})

const newStorage = ({ clientConfig, ...options }: Partial<S3StorageOptions> = {}) =>
  new S3Storage({
    bucket: 'kept',
    partSizeBytes: 5 * 1024 * 1024,
    clientConfig: {
      endpoint: store.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials,
      maxAttempts: 2,
      ...clientConfig,
    },
    ...options,
  })

const large = Buffer.alloc(8 * 1024 * 1024)
type Work = (storage: S3Storage) => Promise<unknown>

const operations: Record<string, Work> = {
  put: (storage) => storage.put('k', Readable.from([Buffer.from('abc')]), { isKeyUnique: true }),
  'put in parts': (storage) => storage.put('k', Readable.from([large]), { isKeyUnique: true }),
  open: (storage) => storage.open('k'),
  stat: (storage) => storage.stat('k'),
  delete: (storage) => storage.delete('k'),
  deleteMany: async (storage) => {
    throw (await storage.deleteMany(['k']))[0]?.error
  },
  copy: (storage) => storage.copy('k', 'l'),
  list: (storage) => storage.list()[Symbol.asyncIterator]().next(),
  listUploads: (storage) => storage.listUploads()[Symbol.asyncIterator]().next(),
  abortUpload: (storage) => storage.abortUpload('k', 'u'),
  upload: async (storage) => {
    configureStorages({ default: storage })
    await uploadFromStream(Buffer.from('abc'))
  },
  discard: async (storage) => {
    configureStorages({ default: storage })
    await new S3File({ key: 'k' }).discard()
  },
}

async function failureOf(work: Promise<unknown>): Promise<Error & { code?: S3FileErrorCode }> {
  return work.then(
    () => expect.unreachable('it did not fail'),
    (error) => error,
  )
}

const failures: [S3FileErrorCode, Failure][] = [
  ['storage-refused', [403, 'AccessDenied']],
  ['storage-refused', [403, 'InvalidAccessKeyId']],
  ['storage-refused', [403, 'SignatureDoesNotMatch']],
  ['storage-refused', [400, 'ExpiredToken']],
  ['key-taken', [412, 'PreconditionFailed']],
  ['checksum-mismatch', [400, 'BadDigest']],
  ['storage-busy', [503, 'SlowDown']],
  ['storage-failed', [500, 'InternalError']],
  ['storage-failed', 'page'],
  ['storage-unreachable', 'reset'],
]

describe.each(failures)('an error %s, when the store answers %j', (code, failure) => {
  it.each(Object.entries(operations))('tells no secret: %s', async (name, work) => {
    store.failure = failure
    const error = await failureOf(work(newStorage()))
    // The answer of HEAD has no body, so that the status alone tells.
    const isHead = name === 'stat' || name === 'copy'
    if (!isHead) expect(error.code).toBe(code)
    expect(isS3FileError(error)).toBe(true)
    expect(error.cause, 'what the SDK says stays').toBeInstanceOf(Error)
    expectNoSecret(...viewsOf(error), `${error.stack}${(error.cause as Error).stack}`)
  })
})

describe('an error without an answer tells no secret', () => {
  it.each(['open', 'list', 'put in parts'])('what cannot be read, of %s', async (name) => {
    store.failure = 'garbage'
    // A GET that is answered is what it is.
    const outcome = await (operations[name] as Work)(newStorage()).catch((error: unknown) => error)
    if (isS3FileError(outcome)) expectNoSecret(...viewsOf(outcome))
    else expect(name).toBe('open')
  })

  it.each(['put', 'put in parts', 'list'])('a store that is silent, for %s', async (name) => {
    store.failure = 'silent'
    const error = await failureOf((operations[name] as Work)(newStorage({ requestTimeoutSeconds: 1 })))
    expect(error).toMatchObject({ code: 'storage-unreachable', cause: { name: 'AbortError' } })
    expectNoSecret(...viewsOf(error))
  })

  it.each(Object.entries(operations))('nobody there, for %s', async (_name, work) => {
    const error = await failureOf(
      work(newStorage({ clientConfig: { endpoint: 'http://127.0.0.1:1', maxAttempts: 1 } })),
    )
    expect(error).toMatchObject({ code: 'storage-unreachable', cause: { code: 'ECONNREFUSED' } })
    expectNoSecret(...viewsOf(error))
  })

  it('credentials that cannot be had, also for a URL', async () => {
    const answer = { body: JSON.stringify(credentials), headers: { authorization: credentials.sessionToken } }
    const provider = async () => {
      const message = `GET http://u:hunter2@creds/?X-Amz-Security-Token=${credentials.sessionToken} failed`
      throw Object.assign(new Error(message), { name: 'CredentialsProviderError', $response: answer })
    }
    const storage = newStorage({ clientConfig: { credentials: provider } })
    for (const work of [storage.url('k'), storage.stat('k')]) {
      const error = await failureOf(work)
      expect(error).toMatchObject({ code: 'storage-failed', cause: { name: 'CredentialsProviderError' } })
      expectNoSecret(...viewsOf(error))
    }
  })
})

it('a file, its JSON and its storage tell nothing, also when it has made URLs', async () => {
  const storage = newStorage()
  configureStorages({ default: storage })
  const file = new S3File({ key: 'a/b.pdf' })
  const url = await file.url()
  expect(url, 'this is what is looked for').toMatch(shapes[0] as RegExp)
  expectNoSecret(...viewsOf(file), ...viewsOf({ file }), ...viewsOf(file.toRecord()), ...viewsOf(storage))
  // Here it is what was asked for, and there only.
  const { file: shown } = (await withUrls({ file })) as unknown as { file: { url: string } }
  expectNoSecret(...viewsOf({ ...shown, url: '' }))
})

describe('what becomes of objects', () => {
  it('tells no secret: the warnings, the journal and its errors', async () => {
    const dataSource = new DataSource({
      ...dataSourceOptions(inject('servers').databaseUrl),
      entities: [Paper, FileJournalEntry],
      subscribers: [S3FileSubscriber],
      synchronize: true,
      dropSchema: true,
      logger: silentLogger,
    } as ConstructorParameters<typeof DataSource>[0])
    await dataSource.initialize()
    configureStorages({ default: new MemoryStorage() })
    const row = await dataSource.manager.save(
      Object.assign(new Paper(), { file: await uploadFromStream(Buffer.from('a')) }),
    )
    store.failure = [403, 'InvalidAccessKeyId']
    configureStorages({ default: newStorage() })
    await dataSource.manager.remove(row)
    await filesSettled()
    await new Promise(setImmediate)
    expect(said.join()).toContain('could not clean up object')
    const [entry] = await dataSource.getRepository(FileJournalEntry).find()
    expect(entry?.lastError).toContain('S3 refused')
    expectNoSecret(...viewsOf(entry))
    await dataSource
      .getRepository(FileJournalEntry)
      .update({ key: entry?.key as string }, { dueAt: '2000-01-01T00:00:00.000Z' })
    expect(await new FileJanitor(dataSource).runOnce()).toMatchObject({ failed: 1 })

    await dataSource.query('DROP TABLE file_journal')
    const error = await failureOf(uploadFromStream(Buffer.from('a')))
    expect(error.code).toBe('journal-failed')
    expectNoSecret(...viewsOf(error))
    await dataSource.destroy()
  })

  it('tells no secret: a journal whose database is away', async () => {
    const dataSource = new DataSource({
      type: 'postgres',
      url: 'postgres://someone:hunter2@127.0.0.1:1/x',
      entities: [Paper, FileJournalEntry],
    })
    const error = await failureOf(dataSource.initialize())
    expectNoSecret(...viewsOf(error))
  })
})

describe('the command line', { timeout: 120_000 }, () => {
  let project: CliProject
  beforeAll(() => {
    project = new CliProject()
    const clientConfig = {
      endpoint: store.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials,
      maxAttempts: 1,
    }
    const options = { ...dataSourceOptions(inject('servers').databaseUrl), synchronize: false }
    project.write(
      'data-source.mjs',
      `import { DataSource, EntitySchema } from 'typeorm'
      import { configureStorages, FileJournalEntry, S3Storage, s3FileColumn, S3FileSubscriber } from 'typeorm-s3-file'
      configureStorages({ default: new S3Storage({ bucket: 'kept', clientConfig: ${JSON.stringify(clientConfig)} }) })
      const document = new EntitySchema({
        name: 'SecretDocument',
        columns: { id: { type: 'int', primary: true, generated: true }, file: s3FileColumn({ nullable: true }) },
      })
      export const dataSource = new DataSource({ ...${JSON.stringify(options)}, entities: [document, FileJournalEntry],
        subscribers: [S3FileSubscriber] })
      if (process.env.SYNC) { await dataSource.initialize(); await dataSource.synchronize(); await dataSource.destroy() }`,
    )
  })
  afterAll(() => project.remove())

  it.each([
    ['doctor', [403, 'InvalidAccessKeyId']],
    ['doctor', [500, 'InternalError']],
    ['doctor', 'page'],
    ['reconcile', [403, 'SignatureDoesNotMatch']],
    ['janitor --once', [403, 'AccessDenied']],
  ] as [string, Failure][])('%s tells no secret when the store answers %j', async (command, failure) => {
    store.failure = failure
    const env = { SYNC: '1', NODE_NO_WARNINGS: '' }
    for (const more of [[], ['--json']]) {
      const args = [...command.split(' '), '-d', 'data-source.mjs', ...more]
      const { stdout, stderr, exitCode } = await project.run(args, undefined, env)
      expect(stdout + stderr).not.toBe('')
      if (!command.startsWith('janitor')) expect(exitCode).toBeGreaterThan(0)
      expectNoSecret(stdout, stderr)
    }
  })
})
