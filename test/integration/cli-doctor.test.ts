import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  DeleteBucketCorsCommand,
  DeleteBucketLifecycleCommand,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
} from '@aws-sdk/client-s3'
import { DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Finding } from '../../src/core/finding.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { createFileTriggers, dropFileTriggers } from '../../src/orm/file-triggers.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { CliProject, type CliResult } from '../support/cli-project.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class DoctorDocument {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ keyPrefix: 'docs', nullable: true }) file!: S3File | null
}

/** What the doctor finds of each server that is not `ok`, with a client that sends checksums; docs/s3-compatible-stores.md. */
const verdicts: Record<'embedded' | 'versitygw' | 'ceph', Record<string, string>> = {
  embedded: {
    list: 'warning',
    'url-headers': 'warning',
    'list-uploads': 'warning',
    'checksum-put': 'warning',
    'checksum-part': 'warning',
    'checksum-object': 'warning',
    'if-none-match-put': 'warning',
    'if-none-match-complete': 'warning',
    cors: 'skipped',
    lifecycle: 'warning',
    'public-access': 'warning',
  },
  versitygw: { 'nested-keys': 'warning', cors: 'skipped', lifecycle: 'skipped' },
  ceph: {
    'checksum-put': 'warning',
    'checksum-part': 'warning',
    'checksum-object': 'warning',
    'if-none-match-complete': 'warning',
    cors: 'skipped',
    lifecycle: 'warning',
  },
}

type Line = Finding & { type: string; storage?: string; problems?: number }

let world: S3World
let dataSource: DataSource
let project: CliProject
const { kind, accessKeyId, secretAccessKey, bucket } = inject('servers').s3

beforeAll(async () => {
  world = await S3World.start()
  dataSource = await new DataSource({
    ...dataSourceOptions(inject('servers').databaseUrl),
    entities: [DoctorDocument, FileJournalEntry],
    synchronize: true,
    dropSchema: true,
  } as ConstructorParameters<typeof DataSource>[0]).initialize()
  await inRunner((runner) => createFileTriggers(runner, DoctorDocument))
  project = new CliProject()
  project.write('data-source.cjs', dataSourceFile('cjs'))
  project.write('data-source.mjs', dataSourceFile('mjs'))
  project.write('storages.mjs', storagesFile())
})
afterAll(async () => {
  project.remove()
  await inRunner((runner) => dropFileTriggers(runner, DoctorDocument))
  await dataSource.destroy()
  await world.stop()
})
afterEach(() => world.clear())

async function inRunner(work: (runner: ReturnType<DataSource['createQueryRunner']>) => Promise<void>) {
  const runner = dataSource.createQueryRunner()
  await work(runner).finally(() => runner.release())
}

function dataSourceFile(format: 'cjs' | 'mjs', url = inject('servers').databaseUrl): string {
  const names = ['{ DataSource, EntitySchema }', '{ FileJournalEntry, s3FileColumn, S3FileSubscriber }']
  const from = ['typeorm', 'typeorm-s3-file']
  const imports = names.map((name, index) =>
    format === 'cjs' ? `const ${name} = require('${from[index]}')` : `import ${name} from '${from[index]}'`,
  )
  return `${imports.join('\n')}
    const document = new EntitySchema({
      name: 'Document',
      tableName: 'doctor_document',
      columns: {
        id: { type: 'int', primary: true, generated: true },
        file: s3FileColumn({ keyPrefix: 'docs', nullable: true }),
      },
    })
    const dataSource = new DataSource({
      ...${JSON.stringify(dataSourceOptions(url))},
      entities: [document, FileJournalEntry],
      subscribers: [S3FileSubscriber],
    })
    ${format === 'cjs' ? 'module.exports =' : 'export'} { dataSource }
  `
}

interface Storage {
  bucket?: string
  endpoint?: string
  region?: string
  credentials?: object
  checksum?: 'none'
  load?: string
}

/** Storages of the ESM copy, or of the CommonJS copy, of the package. */
function storagesFile(options: Storage = {}, format: 'cjs' | 'mjs' = 'mjs'): string {
  const { endpoint = world.proxy.endpoint, region = 'us-east-1', credentials, checksum } = options
  const clientConfig = {
    endpoint,
    region,
    forcePathStyle: true,
    credentials: credentials ?? { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  }
  const name = '{ configureStorages, S3Storage }'
  const storage = { bucket: options.bucket ?? bucket, keyPrefix: world.prefix, clientConfig, checksum }
  return `${format === 'cjs' ? `const ${name} = require('typeorm-s3-file')` : `import ${name} from 'typeorm-s3-file'`}
    configureStorages({ default: new S3Storage(${JSON.stringify(storage)}) })`
}

const doctor = ['doctor', '-d', 'data-source.mjs', '--require', 'storages.mjs']
const run = (...args: string[]) => project.run([...doctor, ...args])

const linesOf = ({ stdout }: CliResult): Line[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

/** Runs it with another storage. */
async function withStorage(options: Storage, ...args: string[]) {
  project.write('other.mjs', storagesFile(options))
  const result = await project.run([
    'doctor',
    '-d',
    'data-source.mjs',
    '--require',
    'other.mjs',
    '--json',
    ...args,
  ])
  const lines = linesOf(result)
  return { result, lines, find: (check: string) => lines.find((line) => line.check === check) as Line }
}

const ofStorage = (lines: Line[]) => lines.filter(({ storage }) => storage === 'default')
const notOk = (lines: Line[]) =>
  Object.fromEntries(
    lines.filter(({ status }) => status !== 'ok').map(({ check, status }) => [check, status]),
  )

async function expectNothingLeft(): Promise<void> {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
}

describe('doctor', () => {
  it.each([
    ['ESM', 'storages.mjs', 'data-source.mjs'],
    ['CommonJS', 'storages.cjs', 'data-source.cjs'],
  ])(
    'finds what the store can do, and the wiring in order, with the %s copy',
    async (_copy, storages, file) => {
      project.write('storages.cjs', storagesFile({}, 'cjs'))
      const result = await project.run(['doctor', '-d', file, '--require', storages, '--json'])
      expect({ exitCode: result.exitCode, stderr: result.stderr }).toEqual({ exitCode: 0, stderr: '' })
      const lines = linesOf(result)
      expect(notOk(ofStorage(lines))).toEqual(verdicts[kind])
      expect(notOk(lines.filter(({ type, storage }) => type === 'finding' && storage === undefined))).toEqual(
        {},
      )
      const checks = lines.map(({ check }) => check)
      for (const check of [
        'triggers',
        'journal',
        'credentials',
        'bucket',
        'clock',
        'put',
        'multipart',
        'versioning',
      ])
        expect(checks).toContain(check)
      expect(lines.at(-1)).toMatchObject({ type: 'summary', problems: 0 })
      await expectNothingLeft()
    },
  )

  it('tells it to people, and no secret, signature or presigned URL', async () => {
    for (const args of [[], ['--json'], ['--origin', 'https://app.example.com']]) {
      const { stdout, stderr } = await run(...args)
      expect(stdout).toContain('credentials')
      for (const secret of [secretAccessKey, accessKeyId, 'X-Amz', 'Signature=', 'test:test']) {
        // The embedded server's are words that occur in any text.
        if (kind === 'embedded' && (secret === 'test' || secret === bucket)) continue
        expect(stdout + stderr).not.toContain(secret)
      }
    }
    const { stdout } = await run()
    expect(stdout).toContain(`\nstorage 'default'\n`)
    expect(stdout).toMatch(/\n {2}ok {7}put {20} stores objects/)
    expect(stdout).toMatch(/\nok: \d+, warnings: \d+, problems: 0, skipped: \d+\n$/)
  })

  // The embedded server takes each setting of a bucket for the bucket itself.
  it.skipIf(kind === 'embedded')(
    'gives the command that lets pages fetch files, and with it they may',
    async () => {
      const origin = ['--origin', 'https://app.example.com', '--json']
      const before = linesOf(await run(...origin)).find(({ check }) => check === 'cors')
      expect(before).toMatchObject({ status: 'problem' })
      const command = /aws s3api put-bucket-cors --bucket \S+ --endpoint-url \S+ --cors-configuration '(.*)'$/
      const CORSConfiguration = JSON.parse(command.exec(before?.fix as string)?.[1] as string)
      await world.client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration }))
      try {
        const after = linesOf(await run(...origin)).find(({ check }) => check === 'cors')
        expect(after).toMatchObject({ status: 'ok' })
      } finally {
        await world.client.send(new DeleteBucketCorsCommand({ Bucket: bucket }))
      }
    },
  )

  it.skipIf(kind === 'versitygw')(
    'gives the command for stale multipart uploads, and sees its rule',
    async () => {
      const before = linesOf(await run('--json')).find(({ check }) => check === 'lifecycle')
      const json = /--lifecycle-configuration '(.*)'$/.exec(before?.fix as string)?.[1] as string
      const set = (Rules: object[]) =>
        world.client.send(
          new PutBucketLifecycleConfigurationCommand({
            Bucket: bucket,
            LifecycleConfiguration: { Rules: Rules as never },
          }),
        )
      const { Rules } = JSON.parse(json)
      try {
        await set(Rules)
        expect(linesOf(await run('--json')).find(({ check }) => check === 'lifecycle')).toMatchObject({
          status: 'ok',
          message: 'a rule aborts multipart uploads that are 2 days old',
        })
        await set([{ ID: 'gone', Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 300 } }])
        expect(linesOf(await run('--json')).find(({ check }) => check === 'lifecycle')).toMatchObject({
          status: 'warning',
          message: expect.stringContaining("rule 'gone' deletes objects by their age"),
        })
        await set([{ ...Rules[0], Filter: { Prefix: 'elsewhere/' } }])
        const kept = linesOf(await run('--json')).find(({ check }) => check === 'lifecycle')
        expect(kept).toMatchObject({ status: 'warning', fix: expect.stringContaining('elsewhere/') })
      } finally {
        await world.client.send(new DeleteBucketLifecycleCommand({ Bucket: bucket }))
      }
    },
  )

  it('tells that there is no such bucket, and how to make it', async () => {
    const { result, find } = await withStorage({ bucket: 'nowhere' })
    expect(result.exitCode).toBe(1)
    expect(find('bucket')).toMatchObject({
      status: 'problem',
      message: "there is no bucket 'nowhere'",
      fix: expect.stringContaining('aws s3api create-bucket --bucket nowhere'),
    })
    expect(find('store').status).toBe('skipped')
    expect(find('clean-up')).toBeUndefined()
  })

  it.skipIf(kind === 'embedded')('tells that the secret is not the right one', async () => {
    const { result, find } = await withStorage({
      credentials: { accessKeyId, secretAccessKey: 'another-secret' },
    })
    expect(result.exitCode).toBe(1)
    expect(find('bucket')).toMatchObject({
      status: 'problem',
      message: expect.stringContaining('SignatureDoesNotMatch'),
      fix: expect.stringContaining('secret'),
    })
    expect(result.stdout + result.stderr).not.toContain('another-secret')
  })

  it.skipIf(kind !== 'versitygw')('tells the right region as the store has it', async () => {
    const { find } = await withStorage({ region: 'eu-central-1' })
    expect(find('bucket')).toMatchObject({
      message: expect.stringContaining('is in region us-east-1'),
      fix: expect.stringContaining("region: 'us-east-1'"),
    })
  })

  it('tells where the database and the store cannot be reached', async () => {
    project.write('down.mjs', dataSourceFile('mjs', 'postgres://someone:hunter2@127.0.0.1:1/x'))
    project.write('other.mjs', storagesFile({ endpoint: 'http://127.0.0.1:1' }))
    const result = await project.run(['doctor', '-d', 'down.mjs', '--require', 'other.mjs', '--json'])
    expect(result.exitCode).toBe(1)
    expect(result.stdout).not.toContain('hunter2')
    const problems = linesOf(result).filter(({ status }) => status === 'problem')
    expect(problems.map(({ check }) => check)).toEqual(['connection', 'bucket'])
    for (const { message } of problems) expect(message).toContain('ECONNREFUSED')
  })

  it('tells where the SDK looks for credentials when there are none', async () => {
    project.write(
      'other.mjs',
      `import { configureStorages, S3Storage } from 'typeorm-s3-file'
      configureStorages({ default: new S3Storage({ bucket: 'x', clientConfig: { region: 'us-east-1' } }) })`,
    )
    const env = { AWS_ACCESS_KEY_ID: '', AWS_EC2_METADATA_DISABLED: 'true', HOME: project.folder }
    const args = ['doctor', '-d', 'data-source.mjs', '--require', 'other.mjs', '--json']
    const none = linesOf(await project.run(args, undefined, env)).find(({ check }) => check === 'credentials')
    expect(none).toMatchObject({ status: 'problem', fix: expect.stringContaining('AWS_PROFILE') })
    const secret = { AWS_ACCESS_KEY_ID: 'AKIAOFTHETEST', AWS_SECRET_ACCESS_KEY: 'wellkept' }
    const atNowhere = { ...env, ...secret, AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }
    const result = await project.run(args, undefined, atNowhere)
    expect(linesOf(result).find(({ check }) => check === 'credentials')?.message).toContain('the environment')
    expect(result.stdout + result.stderr).not.toMatch(/AKIAOFTHETEST|wellkept/)
  })

  it('tells what the credentials must be allowed', async () => {
    world.proxy.inject({ on: 'PutObject', kind: 'accessDenied', times: 100 })
    const lines = linesOf(await run('--json'))
    const put = lines.find(({ check }) => check === 'put')
    expect(put).toMatchObject({ status: 'problem', fix: expect.stringContaining('s3:PutObject') })
    expect(put?.fix).toContain(`arn:aws:s3:::${bucket}/${world.prefix}*`)
  })

  it('says what it could not delete, and exits with a problem', async () => {
    world.proxy.inject({ on: 'DeleteObject', kind: 'accessDenied', times: 1000 })
    const result = await run('--json')
    expect(result.exitCode).toBe(1)
    const left = linesOf(result).filter(({ check }) => check === 'clean-up')
    expect(left.at(-1)?.message).toContain('could not clean up: object')
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('cleans up when %s ends it', async (signal) => {
    world.proxy.delayMs = 30
    let isSent = false
    const result = await project.run([...doctor, '--json'], (stdout, end) => {
      if (isSent || !stdout.includes('"list-uploads"')) return
      isSent = true
      end(signal)
    })
    expect(isSent).toBe(true)
    expect(result.exitCode).toBe(2)
    expect(result.stderr).toContain(`${signal}: cleaning up`)
    expect(result.stderr).toContain(`ended by ${signal} before all was checked`)
    expect(result.stdout).not.toContain('summary')
    await expectNothingLeft()
  })

  it('cleans up an upload whose beginning it never heard of', async () => {
    world.proxy.inject({ on: 'CreateMultipartUpload', kind: 'lostResponse' })
    const { lines } = await withStorage({})
    expect(lines.find(({ check }) => check === 'multipart')?.status).toBe('problem')
    if (kind === 'embedded') return // It lists no uploads.
    await expectNothingLeft()
  })

  it('checks a storage of another kind by the contract', async () => {
    project.write(
      'other.mjs',
      `import { configureStorages } from 'typeorm-s3-file'
      import { MemoryStorage } from 'typeorm-s3-file/testing'
      class Own extends MemoryStorage {
        async *diagnose({ contract }) {
          yield { check: 'own', status: 'ok', message: 'has a check of its own' }
          yield* contract()
        }
      }
      class Failing extends MemoryStorage {
        async *diagnose() { throw new Error('no idea') }
      }
      configureStorages({ default: new MemoryStorage(), own: new Own(), failing: new Failing() })`,
    )
    const all = ['doctor', '-d', 'data-source.mjs', '--require', 'other.mjs', '--json']
    const lines = linesOf(await project.run(all))
    expect(lines.find(({ storage, check }) => storage === 'default' && check === 'put')?.status).toBe('ok')
    expect(
      lines
        .filter(({ storage }) => storage === 'own')
        .map(({ check }) => check)
        .slice(0, 2),
    ).toEqual(['own', 'put'])
    expect(lines.filter(({ storage }) => storage === 'failing')).toEqual([
      { type: 'finding', storage: 'failing', check: 'diagnose', status: 'problem', message: 'no idea' },
    ])
    const some = linesOf(await project.run([...all, '--storage', 'own']))
    expect([...new Set(some.map(({ storage }) => storage))]).toEqual(
      [undefined, 'own', undefined].slice(0, 2),
    )
  })

  it('tells that no storage is configured', async () => {
    const result = await project.run(['doctor', '-d', 'data-source.mjs', '--json'])
    expect(result.exitCode).toBe(1)
    expect(linesOf(result).find(({ check }) => check === 'storages')).toMatchObject({
      status: 'problem',
      fix: expect.stringContaining('configureStorages('),
    })
  })

  it.each([
    ['an unknown storage', ['--storage', 'other'], "there is no storage 'other'; configured: default"],
    ['no origin', ['--origin', 'app.example.com/x'], '--origin takes an origin such as'],
  ])('refuses %s', async (_what, args, message) => {
    const { exitCode, stdout, stderr } = await run(...args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toContain(message)
  })
})

describe('doctor of a store that answers oddly', () => {
  let server: Server | undefined
  afterEach(() => new Promise((resolve) => (server === undefined ? resolve(0) : server.close(resolve))))

  async function storeThat(answer: RequestListener): Promise<string> {
    server = createServer(answer)
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it('tells the region that a redirect names', async () => {
    const endpoint = await storeThat((_request, response) => {
      response.writeHead(301, { 'x-amz-bucket-region': 'ap-south-1', connection: 'close' }).end()
    })
    const { find } = await withStorage({ endpoint })
    expect(find('bucket')).toMatchObject({
      status: 'problem',
      message: `'${bucket}' is in region ap-south-1, and the client is made for us-east-1`,
      fix: expect.stringContaining("region: 'ap-south-1'"),
    })
  })

  it.each([
    [100, 'warning', 'behind'],
    [-100, 'warning', 'ahead of'],
    [3600, 'problem', 'behind'],
  ])('tells of a clock that is %i seconds off', async (seconds, status, direction) => {
    const endpoint = await storeThat((_request, response) => {
      const date = new Date(Date.now() + seconds * 1000).toUTCString()
      response.writeHead(403, { date, connection: 'close' }).end()
    })
    const { find } = await withStorage({ endpoint })
    expect(find('clock')).toMatchObject({
      status,
      message: expect.stringContaining(`seconds ${direction} the store's`),
    })
    expect(find('bucket').status).toBe('problem')
  })
})
