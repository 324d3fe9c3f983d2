import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { CliProject } from '../support/cli-project.ts'
import { S3World } from '../support/s3-world.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class CliDocument {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ keyPrefix: 'docs', nullable: true }) file!: S3File | null
}

let world: S3World
let dataSource: DataSource
let project: CliProject

beforeAll(async () => {
  world = await S3World.start()
  dataSource = await new DataSource({
    ...dataSourceOptions(inject('servers').databaseUrl),
    entities: [CliDocument, FileJournalEntry],
    synchronize: true,
    dropSchema: true,
  } as ConstructorParameters<typeof DataSource>[0]).initialize()
  project = new CliProject()
  project.write(
    'storages.cjs',
    configuration("const { configureStorages, S3Storage } = require('typeorm-s3-file')"),
  )
  project.write(
    'storages.mjs',
    configuration("import { configureStorages, S3Storage } from 'typeorm-s3-file'"),
  )
  project.write('data-source.mjs', `import './storages.mjs'\n${dataSourceFile()}`)
  project.write('bare-data-source.mjs', dataSourceFile())
})
afterAll(async () => {
  project.remove()
  await dataSource.destroy()
  await world.stop()
})
afterEach(async () => {
  await dataSource.getRepository(CliDocument).clear()
  await dataSource.getRepository(FileJournalEntry).clear()
  await world.clear()
})

function configuration(load: string): string {
  const { accessKeyId, secretAccessKey, bucket } = S3World.server
  const clientConfig = {
    endpoint: world.proxy.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  }
  const options = { bucket, keyPrefix: world.prefix, clientConfig }
  return `${load}\nconfigureStorages({ default: new S3Storage(${JSON.stringify(options)}) })\n`
}

/** Would drop all tables, and log each statement to stdout, if the commands let it. */
function dataSourceFile(): string {
  const options = { ...dataSourceOptions(inject('servers').databaseUrl), dropSchema: true, logging: true }
  return `
    import { DataSource, EntitySchema } from 'typeorm'
    import { FileJournalEntry, s3FileColumn, S3FileSubscriber } from 'typeorm-s3-file'
    const document = new EntitySchema({
      name: 'Document',
      tableName: 'cli_document',
      columns: {
        id: { type: 'int', primary: true, generated: true },
        file: s3FileColumn({ keyPrefix: 'docs', nullable: true }),
      },
    })
    export const dataSource = new DataSource({
      ...${JSON.stringify(options)},
      entities: [document, FileJournalEntry],
      subscribers: [S3FileSubscriber],
    })
  `
}

const run = (...args: string[]) => project.run(args)
const withDataSource = ['--data-source', 'data-source.mjs']
const put = (path: string) => world.storage.put(world.prefix + path, Readable.from([Buffer.from('four')]))
const row = (path: string) =>
  dataSource.manager.save(CliDocument, { file: new S3File({ key: world.prefix + path, name: 'x' }) })
const entry = (path: string) =>
  dataSource.manager.insert(FileJournalEntry, {
    id: path,
    reason: 'release',
    storage: 'default',
    key: world.prefix + path,
    since: '2026-01-02T03:04:05.000Z',
    dueAt: '2026-01-02T03:04:05.000Z',
  })
const linesOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('every command', () => {
  it('tells how it is used', async () => {
    const all = await run('--help')
    expect(all).toMatchObject({ exitCode: 0, stderr: '' })
    for (const command of ['doctor', 'reconcile', 'janitor', 'triggers']) {
      expect(all.stdout).toContain(command)
      const { exitCode, stdout } = await run(command, '--help')
      expect(exitCode).toBe(0)
      expect(stdout).toContain(`Usage: typeorm-s3-file ${command} `)
      expect(stdout).toContain('--data-source <file>')
    }
  })

  it('tells its version, that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await run('--version')).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
  })

  it.each(['reconcile --older-than 0s', 'janitor', 'janitor --once', 'triggers', '--help'])(
    'ends quietly when nobody reads what it tells: %s',
    async (command) => {
      await put('docs/a')
      await entry('docs/b')
      const main = 'node_modules/typeorm-s3-file/dist/esm/cli/main.js'
      const all = `'${process.execPath}' ${main} ${command} ${command.startsWith('-') ? '' : withDataSource.join(' ')}`
      // Resolves when both have ended: stderr is closed then.
      const { stderr } = await promisify(execFile)('sh', ['-c', `${all} | true`], {
        cwd: project.folder,
        env: { ...process.env, NODE_NO_WARNINGS: '1' },
        timeout: 25_000,
      })
      expect(stderr).toBe('')
    },
  )

  it.each([
    ['no command', [], 'a command is missing'],
    ['a misspelt command', ['docter'], "there is no command 'docter'; did you mean 'doctor'?"],
    ['part of a command', ['trigger'], "there is no command 'trigger'; did you mean 'triggers'?"],
    ['an unknown command', ['toString'], "there is no command 'toString'"],
    ['an unknown option', ['reconcile', ...withDataSource, '--dry'], "Unknown option '--dry'"],
    ['a stray word', ['janitor', 'once', ...withDataSource], "Unexpected argument 'once'"],
    ['no data source', ['reconcile'], '--data-source <file> is missing'],
    ['--delete-orphans alone', ['reconcile', ...withDataSource, '--delete-orphans'], 'needs --older-than'],
    ['a bare number', ['reconcile', ...withDataSource, '--older-than', '24'], 'a duration such as 30m'],
    ['no number', ['janitor', ...withDataSource, '--batch-size', 'many'], '--batch-size takes a number'],
    ['an unknown entity', ['triggers', ...withDataSource, '--entity', 'Foo'], 'there are: Document'],
  ])('refuses %s', async (_what, args, message) => {
    const { exitCode, stdout, stderr } = await run(...args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).toContain('--help tells how it is used')
  })

  it.each([
    ['is not there', 'nowhere.mjs', 'Unable to open file'],
    ['exports none', 'storages.mjs', 'must contain export of a DataSource'],
  ])('fails when the DataSource file %s', async (_what, file, message) => {
    const { exitCode, stderr } = await run('reconcile', '-d', file)
    expect(exitCode).toBe(2)
    expect(stderr).toContain(message)
  })

  it('says that no storage is configured, and takes one from a module of its own', async () => {
    const bare = ['reconcile', '-d', 'bare-data-source.mjs']
    const { exitCode, stderr } = await run(...bare)
    expect(exitCode).toBe(2)
    expect(stderr).toContain('no storage is configured')
    for (const file of ['storages.mjs', './storages.cjs']) {
      expect(await run(...bare, '--require', file)).toMatchObject({ exitCode: 0, stderr: '' })
    }
  })
})

describe('reconcile', () => {
  it('finds nothing where nothing is wrong', async () => {
    await put('docs/a')
    await row('docs/a')
    const { exitCode, stdout, stderr } = await run('reconcile', ...withDataSource, '--older-than', '0s')
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toContain('1 objects, 1 files of rows')
  })

  it('lists what it finds, and changes nothing', async () => {
    await put('docs/a')
    const { id } = await row('docs/gone')
    const { exitCode, stdout, stderr } = await run('reconcile', ...withDataSource, '--older-than', '0s')
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' })
    expect(stdout).toContain(`orphan  default  ${world.prefix}docs/a  4 bytes`)
    expect(stdout).toContain(`dangling  default  ${world.prefix}docs/gone  Document.file of {"id":${id}}`)
    expect(await world.keys()).toEqual(['docs/a'])
    expect(await dataSource.manager.count(CliDocument)).toBe(1)
  })

  it('gives lines of JSON, the summary last', async () => {
    await put('docs/a')
    await entry('docs/b')
    const { exitCode, stdout } = await run('reconcile', ...withDataSource, '--older-than', '0s', '--json')
    expect(exitCode).toBe(1)
    expect(linesOf(stdout)).toEqual([
      {
        type: 'orphan',
        storage: 'default',
        key: `${world.prefix}docs/a`,
        size: 4,
        lastModified: expect.stringMatching(/^\d{4}-/),
        isDeleted: false,
      },
      expect.objectContaining({
        type: 'summary',
        orphans: 1,
        journal: { entries: 1, due: 1, failing: 0, oldest: '2026-01-02T03:04:05.000Z' },
      }),
    ])
  })

  it('leaves objects of less than a day alone', async () => {
    await put('docs/a')
    expect(await run('reconcile', ...withDataSource)).toMatchObject({ exitCode: 0 })
  })

  it('deletes orphans when told to, and says whether anything is left', async () => {
    const deletion = ['reconcile', ...withDataSource, '--delete-orphans', '--older-than', '0s']
    for (const path of ['docs/a', 'docs/b', 'elsewhere/a']) await put(path)
    await row('docs/b')
    expect(await run(...deletion)).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('orphans: 1 (4 bytes), 1 deleted'),
    })
    expect(await world.keys()).toEqual(['docs/b', 'elsewhere/a'])
    await row('docs/gone')
    expect(await run(...deletion)).toMatchObject({ exitCode: 1 })
  })

  it('fails, and deletes nothing, where it does not know a value', async () => {
    await put('docs/a')
    await dataSource.query(`INSERT INTO cli_document (file) VALUES ('{"path":"docs/a"}')`)
    const { exitCode, stdout, stderr } = await run(
      ...['reconcile', ...withDataSource, '--delete-orphans', '--older-than', '0s', '--json'],
    )
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toBe(
      "typeorm-s3-file: 1 value of column 'file' of table 'cli_document': no record of a file\n",
    )
    expect(await world.keys()).toEqual(['docs/a'])
  })
})

describe('janitor', () => {
  it('works off once what is due', async () => {
    for (const path of ['docs/a', 'docs/b']) {
      await put(path)
      await entry(path)
    }
    await row('docs/b')
    const { exitCode, stdout, stderr } = await run('janitor', ...withDataSource, '--once', '--json')
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const report = { deleted: 1, kept: 1, failed: 0, abortedUploads: 0 }
    expect(linesOf(stdout)).toEqual([
      { type: 'progress', ...report },
      { type: 'summary', ...report },
    ])
    expect(await world.keys()).toEqual(['docs/b'])
    expect(await dataSource.manager.count(FileJournalEntry)).toBe(0)
  })

  it('says that entries failed', async () => {
    await put('docs/a')
    await entry('docs/a')
    await dataSource.manager.update(FileJournalEntry, 'docs/a', { storage: 'gone' })
    expect(await run('janitor', ...withDataSource, '--once')).toMatchObject({
      exitCode: 1,
      stdout: '0 deleted, 0 kept, 1 failed, 0 uploads aborted\n',
    })
  })

  it('keeps what was let go for as long as it is told', async () => {
    await put('docs/a')
    await entry('docs/a')
    await dataSource.manager.update(FileJournalEntry, 'docs/a', { since: new Date().toISOString() })
    const { stdout } = await run('janitor', ...withDataSource, '--once', '--delete-after', '7d')
    expect(stdout).toBe('0 deleted, 0 kept, 0 failed, 0 uploads aborted\n')
    expect(await world.keys()).toEqual(['docs/a'])
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('runs until %s', async (signal) => {
    await put('docs/a')
    await entry('docs/a')
    const { exitCode, stdout, stderr } = await project.run(
      ['janitor', ...withDataSource, '--interval', '1s'],
      (text, end) => {
        if (text.includes('1 deleted')) end(signal)
      },
    )
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toBe('1 deleted, 0 kept, 0 failed, 0 uploads aborted\n')
    expect(await world.keys()).toEqual([])
  })
})
