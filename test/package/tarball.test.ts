import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { Consumer, installTarball, link, modules, repository } from './consumer.ts'

const { current, files, older, others, size, tarball, unpackedSize } = inject('packed')

describe('the tarball', () => {
  it('holds the build and the papers, and nothing else', () => {
    const papers = /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
    const build = /^dist\/(?:cjs\/package\.json|(?:esm|cjs)\/[\w/-]+\.(?:js|d\.ts))$/
    expect(files.filter((path) => !papers.test(path) && !build.test(path))).toEqual([])
    expect(files).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']))
  })

  it('holds every entry with its types, for import and for require', () => {
    const entries = ['index', 'fastify', 'nest', 'testing'].flatMap((name) =>
      ['esm', 'cjs'].flatMap((kind) => [`dist/${kind}/${name}.js`, `dist/${kind}/${name}.d.ts`]),
    )
    expect(files).toEqual(expect.arrayContaining(entries))
  })

  it('brings no dependency', () => {
    const path = join(current, 'node_modules', 'typeorm-s3-file', 'package.json')
    expect(JSON.parse(readFileSync(path, 'utf8'))).not.toHaveProperty('dependencies')
  })

  it('is as small as the README says, and not half of it', () => {
    const readme = readFileSync(join(repository, 'README.md'), 'utf8')
    const stated = /under ([\d.]+) MB to download and ([\d.]+) MB unpacked/.exec(readme)
    const figures = (stated ?? []).slice(1).map((megabytes) => Number(megabytes) * 1e6)
    expect(figures.map((figure, index) => Math.floor(figure / ([size, unpackedSize][index] ?? 0)))).toEqual([
      1, 1,
    ])
  })
})

const entries = [
  'typeorm-s3-file',
  ...['fastify', 'nest', 'testing'].map((name) => `typeorm-s3-file/${name}`),
]

const exportsOf = (load: (entry: string) => string) => `
  const entries = [${entries.map(load).join()}]
  console.log(JSON.stringify(entries.map((entry) => Object.keys(entry).sort())))
`

describe('the installed package', () => {
  let consumer: Consumer
  beforeAll(() => {
    consumer = new Consumer(current, 'plain')
  })

  it('gives import and require the same names', async () => {
    const imported = await consumer.run(
      'names.mjs',
      exportsOf((entry) => `await import('${entry}')`),
    )
    const required = await consumer.run(
      'names.cjs',
      exportsOf((entry) => `require('${entry}')`),
    )
    expect(imported).toEqual([
      expect.arrayContaining(['S3File', 'S3FileField', 'configureStorages', 'uploadFromRequest']),
      ['s3FileErrorHandler', 's3FilePlugin'],
      expect.arrayContaining(['S3FileInterceptor', 'S3FileModule', 'UploadedS3File']),
      ['MemoryStorage', 'lintStorage'],
    ])
    expect(required).toEqual(imported)
  })

  it('shares storages, files, fields, errors and limits between the two in one process', async () => {
    const program = `
      import { createRequire } from 'node:module'
      import * as esm from 'typeorm-s3-file'
      import { MemoryStorage } from 'typeorm-s3-file/testing'
      const cjs = createRequire(import.meta.url)('typeorm-s3-file')

      const storage = new MemoryStorage()
      cjs.configureStorages({ default: storage })
      class Document {}
      cjs.S3FileField({ keyPrefix: 'documents' })(Document.prototype, 'file')
      const uploaded = await esm.uploadFromStream(Buffer.from('hello'), { into: [Document, 'file'] })
      const refused = await cjs.uploadFromStream(Buffer.from('x'), { maxSizeBytes: 0 }).catch((error) => error)

      esm.setUploadLimits({ concurrent: 1, queued: 0 })
      const request = (body) =>
        new Request('http://localhost/', {
          method: 'POST', headers: { 'content-type': 'multipart/form-data; boundary=b' }, body, duplex: 'half',
        })
      const pending = new AbortController()
      const waiting = esm.uploadFromRequest(request(new ReadableStream()), { signal: pending.signal })
      const beyond = await cjs.uploadFromRequest(request('--b--')).catch((error) => error)
      pending.abort()
      const aborted = await waiting.catch((error) => error)

      cjs.setPartMemoryLimit(8 * 1024 * 1024)
      const s3 = new esm.S3Storage({ bucket: 'none', clientConfig: { region: 'none', endpoint: 'http://127.0.0.1:1' } })
      esm.configureStorages({ default: s3 })
      const huge = await esm
        .uploadFromStream(Buffer.alloc(10_000), { sizeBytes: 1024 ** 4, name: 'huge' })
        .catch((error) => error)

      console.log(JSON.stringify({
        areTwoCopies: esm.S3File !== cjs.S3File,
        isStorageShared: uploaded.key in Object.fromEntries(storage.objects),
        isStorageFound: cjs.getStorage() === s3,
        isFieldShared: uploaded.key.startsWith('documents/'),
        isFileKnown: cjs.isS3File(uploaded) && esm.isS3File(new cjs.S3File({ key: uploaded.key })),
        isFileEqual: new cjs.S3File({ key: uploaded.key }).equals(uploaded),
        isErrorKnown: esm.isS3FileError(refused, 'file-too-large') && !(refused instanceof esm.UploadError),
        beyond: beyond.code,
        aborted: aborted.code,
        huge: huge.message,
      }))
    `
    expect(await consumer.run('shared.mjs', program)).toEqual({
      areTwoCopies: true,
      isStorageShared: true,
      isStorageFound: true,
      isFieldShared: true,
      isFileKnown: true,
      isFileEqual: true,
      isErrorKnown: true,
      beyond: 'too-many-uploads',
      aborted: 'upload-aborted',
      huge: expect.stringContaining('more than the part memory of 8 MiB'),
    })
  })

  describe.each([
    ['CommonJS', 'cts', 'cjs'],
    ['ESM', 'mts', 'mjs'],
  ])('gives an entity compiled as %s its types and its column', (_kind, source, compiled) => {
    beforeAll(async () => {
      consumer.write(`document.${source}`, entityProgram)
      const checks = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck']
      await consumer.compile(
        ['--module', 'node16', '--experimentalDecorators', ...checks],
        [`document.${source}`],
      )
    })

    it.each([
      ['this Node', process.execPath],
      ['Node 22', join(older, 'node_modules', 'node-22', 'bin', 'node')],
      ['Node 24', join(modules, 'node', 'bin', 'node')],
    ])('on %s', async (_name, runtime) => {
      const printed = JSON.parse(await consumer.node([`document.${compiled}`], runtime))
      expect(printed).toEqual([{ name: 'a.txt', size: 5, contentType: 'text/plain' }, 'hello'])
    })
  })
})

describe('a project with the required peers and no more', () => {
  let consumer: Consumer
  beforeAll(() => {
    consumer = new Consumer(others, 'bare', { type: 'module' })
    installTarball(tarball, consumer.folder)
    for (const peer of ['typeorm', '@aws-sdk/client-s3', '@aws-sdk/s3-request-presigner', '@types/node']) {
      link(consumer.folder, peer)
    }
  })

  it.each(['import', 'require'])('loads what needs no framework by %s', async (kind) => {
    const load = (entry: string) => (kind === 'import' ? `await import('${entry}')` : `require('${entry}')`)
    const program = `
      import { createRequire } from 'node:module'
      const require = createRequire(import.meta.url)
      const { configureStorages, uploadFromStream } = ${load('typeorm-s3-file')}
      const { MemoryStorage } = ${load('typeorm-s3-file/testing')}
      const { s3FilePlugin } = ${load('typeorm-s3-file/fastify')}
      configureStorages({ default: new MemoryStorage() })
      const file = await uploadFromStream(Buffer.from('hello'), { name: 'a.txt' })
      console.log(JSON.stringify([file, typeof s3FilePlugin]))
    `
    expect(await consumer.run(`bare-${kind}.js`, program)).toEqual([
      { name: 'a.txt', size: 5, contentType: 'text/plain' },
      'function',
    ])
  })

  it('is told which package typeorm-s3-file/nest misses', async () => {
    const program = `
      import { createRequire } from 'node:module'
      const load = [
        () => import('typeorm-s3-file/nest'),
        async () => createRequire(import.meta.url)('typeorm-s3-file/nest'),
      ]
      const failures = await Promise.all(load.map((attempt) => attempt().catch((error) => error.message.split('\\n')[0])))
      console.log(JSON.stringify(failures))
    `
    expect(await consumer.run('missing.js', program)).toEqual([
      expect.stringMatching(/^Cannot find package '@nestjs\/\w+' imported from .*typeorm-s3-file/),
      expect.stringMatching(/^Cannot find module '@nestjs\/\w+'$/),
    ])
  })

  it('compiles against whole types, its libraries included', async () => {
    consumer.write('bare.ts', `export * from 'typeorm-s3-file'\nexport * from 'typeorm-s3-file/testing'\n`)
    await consumer.compile(['--module', 'nodenext', '--strict', '--noEmit', '--lib', 'es2022'], ['bare.ts'])
  })
})

const entityProgram = `
  import { DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm'
  import { configureStorages, type S3File, S3FileField, uploadFromStream } from 'typeorm-s3-file'
  import { MemoryStorage } from 'typeorm-s3-file/testing'

  @Entity()
  class Document {
    @PrimaryGeneratedColumn() id!: number
    @S3FileField({ nullable: true, column: { type: 'simple-json' } }) file!: S3File | null
  }

  async function main(): Promise<void> {
    configureStorages({ default: new MemoryStorage() })
    const dataSource = new DataSource({ type: 'sqljs', entities: [Document], synchronize: true })
    await dataSource.initialize()
    const documents = dataSource.getRepository(Document)
    const file: S3File = await uploadFromStream(Buffer.from('hello'), {
      into: [Document, 'file'],
      name: 'a.txt',
    })
    await documents.save({ file })
    const found = await documents.findOneByOrFail({ id: 1 })
    console.log(JSON.stringify([found.file, (await found.file?.bytes())?.toString()]))
  }
  void main()
`
