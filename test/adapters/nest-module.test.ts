import 'reflect-metadata'
import { Body, Controller, Module, type OnApplicationShutdown, Post } from '@nestjs/common'
import { ApiProperty, ApiQuery, DocumentBuilder, SwaggerModule } from '@nestjs/swagger'
import { DataSource } from 'typeorm'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { ApiS3File, S3FileHealthIndicator, S3FileModule, type S3FileModuleOptions } from '../../src/nest.ts'
import { newEntry } from '../../src/orm/entry-values.ts'
import { FileJournalEntry } from '../../src/orm/file-journal-entry.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { type NestServer, startNest } from './nest-site.ts'

let server: NestServer | undefined
afterEach(async () => {
  await server?.app.close()
  server = undefined
})

const openDataSource = (entities: (typeof FileJournalEntry)[] = [FileJournalEntry]) =>
  new DataSource({ type: 'sqljs', entities, subscribers: [S3FileSubscriber], synchronize: true }).initialize()

/** As @nestjs/typeorm does: the connection is closed in the last of the shutdown hooks. */
function databaseModule(dataSource: DataSource, token: unknown = DataSource) {
  class DatabaseModule implements OnApplicationShutdown {
    onApplicationShutdown() {
      return dataSource.destroy()
    }
  }
  const provider = { provide: token as string, useValue: dataSource }
  return { module: DatabaseModule, global: true, providers: [provider], exports: [provider] }
}

const start = async (options: S3FileModuleOptions, ...imports: ReturnType<typeof databaseModule>[]) => {
  server = await startNest('express', { imports: [S3FileModule.forRoot(options), ...imports] })
  return server
}

describe('S3FileModule', () => {
  it('takes its options from a factory', async () => {
    class Settings {
      readonly storages = { default: new MemoryStorage(), other: new MemoryStorage() }
    }
    @Module({ providers: [Settings], exports: [Settings] })
    class SettingsModule {}
    const files = S3FileModule.forRootAsync({
      imports: [SettingsModule],
      inject: [Settings],
      useFactory: ({ storages }: Settings) => ({ storages }),
    })
    server = await startNest('express', { imports: [files] })
    expect(await new S3File({ key: 'x', storage: 'other' }).exists()).toBe(false)
  })

  it('refuses options that it does not know', async () => {
    await expect(start({ storages: {}, janitr: true } as never)).rejects.toThrow(
      "S3FileModule: there is no option 'janitr'; did you mean 'janitor'?",
    )
  })
})

describe("the module's janitor", () => {
  it('works from bootstrap to shutdown, and stops before the connection is closed', async () => {
    const storage = new MemoryStorage()
    const dataSource = await openDataSource()
    const entries = dataSource.getRepository(FileJournalEntry)
    storage.objects.set('left', { size: 1 } as never)
    await entries.insert(newEntry('release', { storage: 'default', key: 'left' }))
    const onError = vi.fn()

    const { app, logs } = await start(
      { storages: { default: storage }, janitor: { intervalSeconds: 1, onError } },
      databaseModule(dataSource),
    )
    await vi.waitFor(async () => expect(await entries.count()).toBe(0))
    expect(storage.objects.size).toBe(0)
    // It is in the middle of a run when the application stops.
    storage.objects.set('later', { size: 1 } as never)
    await entries.insert(newEntry('release', { storage: 'default', key: 'later' }))
    const deleted = new Promise<void>((resolve) => {
      const { deleteMany } = storage
      storage.deleteMany = async (keys) => {
        resolve()
        await new Promise((later) => setImmediate(later))
        return deleteMany.call(storage, keys)
      }
    })
    await deleted
    await app.close()
    server = undefined
    expect(dataSource.isInitialized).toBe(false)
    expect(storage.objects.size).toBe(0)
    expect(onError).not.toHaveBeenCalled()
    expect(logs).toEqual([])
  })

  it('takes DataSources by their tokens', async () => {
    const storage = new MemoryStorage()
    const dataSource = await openDataSource()
    const entries = dataSource.getRepository(FileJournalEntry)
    await entries.insert(newEntry('release', { storage: 'default', key: 'left' }))
    await start(
      { storages: { default: storage }, dataSources: ['archiveDataSource'], janitor: true },
      databaseModule(dataSource, 'archiveDataSource'),
    )
    await vi.waitFor(async () => expect(await entries.count()).toBe(0))
  })

  it.each([
    ['no DataSource', false],
    ['a DataSource without a journal', true],
  ])('does not start with %s', async (_, hasDataSource) => {
    const modules = hasDataSource ? [databaseModule(await openDataSource([]))] : []
    await expect(start({ storages: {}, janitor: true }, ...modules)).rejects.toThrow(
      "S3FileModule: option 'janitor' takes a DataSource with FileJournalEntry",
    )
  })
})

describe('S3FileHealthIndicator', () => {
  it('tells storages, and the backlog of the journal', async () => {
    const dataSource = await openDataSource()
    const entry = newEntry('release', { storage: 'default', key: 'left' })
    await dataSource.manager.insert(FileJournalEntry, { ...entry, attempts: 2 })
    const storages = { default: new MemoryStorage(), other: new MemoryStorage() }
    const { app } = await start({ storages }, databaseModule(dataSource))
    const health = app.get(S3FileHealthIndicator, { strict: false })
    const expected = {
      status: 'up',
      storages: { default: { status: 'up' }, other: { status: 'up' } },
      journals: [{ status: 'up', entries: 1, due: 1, failing: 1, oldest: new Date(entry.since) }],
    }
    expect(await health.check()).toEqual(expected)
    expect(await health.isHealthy()).toEqual({ files: expected })
    expect(await health.isHealthy('s3')).toEqual({ s3: expected })
  })

  it('is down with a storage that does not answer, and says why in the log alone', async () => {
    const [broken, silent] = [new MemoryStorage(), new MemoryStorage()]
    broken.stat = () => Promise.reject(new Error('the bucket of ACME is gone'))
    silent.stat = () => new Promise(() => undefined)
    const { app, logs } = await start({ storages: { default: new MemoryStorage(), broken, silent } })
    const health = app.get(S3FileHealthIndicator, { strict: false })
    await expect(health.check({ timeoutSeconds: 2_147_484 })).rejects.toMatchObject({
      code: 'invalid-option',
    })
    expect(await health.check({ timeoutSeconds: 1 })).toEqual({
      status: 'down',
      storages: {
        default: { status: 'up' },
        broken: { status: 'down', code: 'unknown' },
        silent: { status: 'down', code: 'storage-unreachable' },
      },
      journals: [],
    })
    expect(logs.sort()).toEqual([
      expect.stringContaining("storage 'broken' does not answer: Error: the bucket of ACME is gone"),
      expect.stringContaining("storage 'silent' does not answer: StorageError: no answer within 1 s"),
    ])
  })

  it('is down with a journal that does not answer', async () => {
    const dataSource = await openDataSource()
    const { app } = await start({ storages: {} }, databaseModule(dataSource))
    await dataSource.query('DROP TABLE file_journal')
    expect(await app.get(S3FileHealthIndicator, { strict: false }).check()).toEqual({
      status: 'down',
      storages: {},
      journals: [{ status: 'down', code: 'unknown' }],
    })
  })
})

describe('@ApiS3File()', () => {
  class NewDocument {
    @ApiProperty({ type: String }) title!: string
  }

  @Controller()
  class Documents {
    @Post('one')
    @ApiS3File()
    one() {}

    @Post('fields')
    @ApiS3File('scan', { fields: NewDocument })
    @ApiS3File('pages', { isArray: true, required: false })
    @ApiQuery({ name: 'draft', type: Boolean })
    fields(@Body() _body: NewDocument) {}
  }

  it('shows a multipart form with its files and fields', async () => {
    server = await startNest('express', { controllers: [Documents] })
    const document = SwaggerModule.createDocument(server.app, new DocumentBuilder().build())
    const bodyOf = (path: string) => document.paths[path]?.post?.requestBody
    const binary = { type: 'string', format: 'binary' }
    expect(bodyOf('/one')).toEqual({
      required: true,
      content: {
        'multipart/form-data': {
          schema: { allOf: [{ type: 'object', properties: { file: binary }, required: ['file'] }] },
        },
      },
    })
    expect(bodyOf('/fields')).toEqual({
      required: true,
      content: {
        'multipart/form-data': {
          schema: {
            allOf: [
              { type: 'object', properties: { pages: { type: 'array', items: binary } } },
              { $ref: '#/components/schemas/NewDocument' },
              { type: 'object', properties: { scan: binary }, required: ['scan'] },
            ],
          },
        },
      },
    })
    expect(document.components?.schemas?.NewDocument).toMatchObject({
      properties: { title: { type: 'string' } },
    })
    expect(document.paths['/fields']?.post?.parameters).toMatchObject([{ name: 'draft', in: 'query' }])
  })

  it('refuses options that it does not know', () => {
    expect(() => ApiS3File('file', { requird: true } as never)).toThrow("did you mean 'required'?")
  })
})
