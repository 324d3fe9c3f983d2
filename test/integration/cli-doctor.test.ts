import { execFile } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
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

/** A storage of the ESM copy, or of the CommonJS copy, of the package. */
function storagesFile(format: 'cjs' | 'mjs' = 'mjs', endpoint = world.proxy.endpoint): string {
  const clientConfig = {
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  }
  const name = '{ configureStorages, S3Storage }'
  return `${format === 'cjs' ? `const ${name} = require('typeorm-s3-file')` : `import ${name} from 'typeorm-s3-file'`}
    configureStorages({ default: new S3Storage(${JSON.stringify({ bucket, keyPrefix: world.prefix, clientConfig })}) })`
}

const doctor = ['doctor', '-d', 'data-source.mjs', '--require', 'storages.mjs']
const run = (...args: string[]) => project.run([...doctor, ...args])

const linesOf = ({ stdout }: CliResult): Line[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

const ofStorage = (lines: Line[]) => lines.filter(({ storage }) => storage === 'default')
const notOk = (lines: Line[]) =>
  Object.fromEntries(
    lines.filter(({ status }) => status !== 'ok').map(({ check, status }) => [check, status]),
  )

async function expectNothingLeft(): Promise<void> {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
}

describe('doctor', { timeout: 120_000 }, () => {
  it.each([
    ['ESM', 'storages.mjs', 'data-source.mjs'],
    ['CommonJS', 'storages.cjs', 'data-source.cjs'],
  ])(
    'finds what the store can do, and the wiring in order, with the %s copy',
    async (_copy, storages, file) => {
      project.write('storages.cjs', storagesFile('cjs'))
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

  it.each([[[]], [['--json', '--origin', 'https://app.example.com']]])(
    'tells no secret, signature or presigned URL (%j)',
    async (args) => {
      const { stdout, stderr } = await run(...args)
      expect(stdout).toContain('credentials')
      // The embedded server's are words that occur in any text.
      const secrets = kind === 'embedded' ? [] : [secretAccessKey, accessKeyId]
      for (const secret of [...secrets, 'X-Amz', 'Signature', 'test:test']) {
        expect(stdout + stderr).not.toContain(secret)
      }
    },
  )

  it('tells it to people', async () => {
    const { stdout } = await run()
    expect(stdout).toContain(`\nstorage 'default'\n`)
    expect(stdout).toMatch(/\n {2}ok {7}put {21}stores objects/)
    expect(stdout).toMatch(/\nok: \d+, warnings: \d+, problems: 0, skipped: \d+\n$/)
  })

  it('tells where the database and the store cannot be reached', async () => {
    project.write('down.mjs', dataSourceFile('mjs', 'postgres://someone:hunter2@127.0.0.1:1/x'))
    project.write('other.mjs', storagesFile('mjs', 'http://127.0.0.1:1'))
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

  it('cleans up when nobody reads what it tells any more', async () => {
    const main = 'node_modules/typeorm-s3-file/dist/esm/cli/main.js'
    const command = [process.execPath, main, ...doctor].map((word) => `'${word}'`).join(' ')
    world.proxy.delayMs = 10
    // Resolves when stderr is closed, so when both have ended.
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', `${command} | head -n 18`], {
      cwd: project.folder,
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    })
    expect(stdout).toContain("storage 'default'")
    expect(stderr).toBe('')
    await expectNothingLeft()
  })

  it('tells of a DataSource of another copy of TypeORM', async () => {
    cpSync(new URL('../../node_modules/typeorm', import.meta.url), join(project.folder, 'other', 'typeorm'), {
      recursive: true,
    })
    const file = dataSourceFile('cjs').replace("require('typeorm')", "require('./other/typeorm')")
    project.write('other-copy.cjs', file)
    const args = ['doctor', '-d', 'other-copy.cjs', '--require', 'storages.mjs', '--json']
    expect(linesOf(await project.run(args)).find(({ check }) => check === 'typeorm')).toMatchObject({
      status: 'problem',
      fix: expect.stringContaining('npm ls typeorm'),
    })
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
