import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { Consumer } from './consumer.ts'

const { older } = inject('packed')

describe('a bundle', () => {
  let consumer: Consumer
  beforeAll(async () => {
    consumer = new Consumer(older, 'bundle')
    consumer.write('tsconfig.json', '{ "compilerOptions": { "experimentalDecorators": true } }')
  })

  /** Bundles the package, not its peers. Gives the bytes that each file of it has in the bundle. */
  async function bundle(program: string, file: string): Promise<Record<string, number>> {
    consumer.write('app.ts', program)
    const peers = ['typeorm', 'typeorm/*', '@aws-sdk/*'].map((peer) => `--external:${peer}`)
    const esbuild = join(older, 'node_modules', 'esbuild', 'bin', 'esbuild')
    const format = ['--bundle', '--platform=node', '--format=esm', '--log-level=warning']
    await consumer.node([esbuild, 'app.ts', ...format, ...peers, '--metafile=meta.json', `--outfile=${file}`])
    const { outputs } = JSON.parse(readFileSync(join(consumer.folder, 'meta.json'), 'utf8'))
    const inputs = Object.entries(outputs[file].inputs as Record<string, { bytesInOutput: number }>)
    return Object.fromEntries(
      inputs.map(([path, { bytesInOutput }]) => [path.split('/').at(-1), bytesInOutput]),
    )
  }

  it('of an entity has the decorator, and neither the upload nor the storage', async () => {
    const sizes = await bundle(
      `
      import { DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm'
      import { S3FileField } from 'typeorm-s3-file'
      @Entity()
      class Document {
        @PrimaryGeneratedColumn() id!: number
        @S3FileField({ layout: 'columns', nullable: true }) file!: object | null
      }
      const dataSource = new DataSource({ type: 'sqljs', entities: [Document], synchronize: true })
      await dataSource.initialize()
      await dataSource.getRepository(Document).save({ file: null })
      const columns = dataSource.getMetadata(Document).columns.map((column) => column.databaseName)
      console.log(JSON.stringify([columns, await dataSource.getRepository(Document).find()]))
      `,
      'entity.mjs',
    )
    expect(sizes['s3-file-field.js']).toBeGreaterThan(0)
    const unused = ['main', 's3-storage', 's3-upload', 'upload-from-request', 'file-janitor']
    expect(unused.filter((name) => (sizes[`${name}.js`] ?? 0) > 0)).toEqual([])
    expect(JSON.parse(await consumer.node(['entity.mjs']))).toEqual([
      expect.arrayContaining(['id', 'fileKey', 'fileName', 'fileSize']),
      [{ id: 1, file: null }],
    ])
  })

  it('of an application uploads, saves and deletes', async () => {
    await bundle(
      `
      import { DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm'
      import { configureStorages, FileJournalEntry, filesSettled, type S3File, S3FileField, S3FileSubscriber, uploadFromRequest } from 'typeorm-s3-file'
      import { MemoryStorage } from 'typeorm-s3-file/testing'
      @Entity()
      class Document {
        @PrimaryGeneratedColumn() id!: number
        @S3FileField({ nullable: true, column: { type: 'simple-json' } }) file!: S3File | null
      }
      const storage = new MemoryStorage()
      configureStorages({ default: storage })
      const dataSource = new DataSource({
        type: 'sqljs', entities: [Document, FileJournalEntry], subscribers: [S3FileSubscriber], synchronize: true,
      })
      await dataSource.initialize()
      const documents = dataSource.getRepository(Document)
      const body = new FormData()
      body.set('file', new Blob(['hello']), 'a.txt')
      const file = await uploadFromRequest(new Request('http://localhost/', { method: 'POST', body }), { into: [Document, 'file'] })
      const pending = await dataSource.getRepository(FileJournalEntry).count()
      const document = await documents.save({ file })
      const kept = [storage.objects.size, await dataSource.getRepository(FileJournalEntry).count()]
      await documents.save({ ...document, file: null })
      await filesSettled()
      console.log(JSON.stringify([file, pending, kept, storage.objects.size]))
      `,
      'application.mjs',
    )
    const printed = JSON.parse(await consumer.node(['application.mjs']))
    expect(printed).toEqual([{ name: 'a.txt', size: 5, contentType: 'text/plain' }, 1, [1, 0], 0])
  })

  it('of a worker that only uploads writes the journal, without a subscriber', async () => {
    await bundle(
      `
      import { DataSource } from 'typeorm'
      import { configureStorages, FileJournalEntry, uploadFromStream } from 'typeorm-s3-file'
      import { MemoryStorage } from 'typeorm-s3-file/testing'
      configureStorages({ default: new MemoryStorage() })
      const dataSource = new DataSource({ type: 'sqljs', entities: [FileJournalEntry], synchronize: true })
      await dataSource.initialize()
      await uploadFromStream(Buffer.from('hello'), { name: 'a.txt' })
      console.log(await dataSource.getRepository(FileJournalEntry).count())
      `,
      'worker.mjs',
    )
    expect((await consumer.node(['worker.mjs'])).trim()).toBe('1')
  })
})
