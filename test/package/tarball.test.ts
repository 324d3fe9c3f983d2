import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nestApp } from './nest-app.ts'

const repository = new URL('../..', import.meta.url).pathname
const modules = join(repository, 'node_modules')
const notPacked = new Set(['node_modules', '.git', '.servers', 'coverage', 'dist'])

let root: string
/** A project that has installed the tarball. */
let project: string
let tarball: string
/** What the tarball holds. */
let packed: string[]

/** Builds and packs a copy of the repository, so that neither its dist nor a build beside this one matters. */
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'typeorm-s3-file-package-'))
  const copy = join(root, 'copy')
  cpSync(repository, copy, { recursive: true, filter: (path) => !notPacked.has(basename(path)) })
  symlinkSync(modules, join(copy, 'node_modules'))
  npm(copy, 'run', 'build')
  const [{ filename, files }] = JSON.parse(npm(copy, 'pack', '--json')) as [
    { filename: string; files: { path: string }[] },
  ]
  packed = files.map(({ path }) => path)

  tarball = join(copy, filename)

  project = join(root, 'project')
  mkdirSync(join(project, 'node_modules'), { recursive: true })
  writeFileSync(join(project, 'package.json'), '{}')
  installInto(project)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Unpacks the tarball, and links whatever this repository has and the project has not. */
function installInto(folder: string): void {
  const installed = join(folder, 'node_modules', 'typeorm-s3-file')
  mkdirSync(installed)
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  for (const name of readdirSync(modules)) {
    const path = join(folder, 'node_modules', name)
    if (!existsSync(path)) symlinkSync(join(modules, name), path)
  }
}

function npm(cwd: string, ...parameters: string[]): string {
  return execFileSync('npm', ['--silent', ...parameters], { cwd, encoding: 'utf8' })
}

/** Runs a program of the project and gives what it prints, as JSON. */
function run(file: string, program: string): unknown {
  writeFileSync(join(project, file), program)
  return JSON.parse(execFileSync(process.execPath, [file], { cwd: project, encoding: 'utf8' }))
}

describe('the tarball', () => {
  it('holds the build and the papers, and nothing else', () => {
    const papers = /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
    const build = /^dist\/(?:cjs\/package\.json|(?:esm|cjs)\/[\w/-]+\.(?:js|d\.ts))$/
    expect(packed.filter((path) => !papers.test(path) && !build.test(path))).toEqual([])
    expect(packed).toEqual(expect.arrayContaining(['package.json', 'LICENSE']))
  })

  it('holds every entry with its types, for import and for require', () => {
    const entries = ['index', 'fastify', 'nest', 'testing'].flatMap((name) =>
      ['esm', 'cjs'].flatMap((kind) => [`dist/${kind}/${name}.js`, `dist/${kind}/${name}.d.ts`]),
    )
    expect(packed).toEqual(expect.arrayContaining(entries))
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
  it('gives import and require the same names', () => {
    const imported = run(
      'names.mjs',
      exportsOf((entry) => `await import('${entry}')`),
    )
    const required = run(
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

  it('shares storages, files, fields and errors between the two in one process', () => {
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

      console.log(JSON.stringify({
        areTwoCopies: esm.S3File !== cjs.S3File,
        isStorageShared: esm.getStorage() === storage,
        isFieldShared: uploaded.key.startsWith('documents/'),
        isFileKnown: cjs.isS3File(uploaded) && esm.isS3File(new cjs.S3File({ key: uploaded.key })),
        isFileEqual: new cjs.S3File({ key: uploaded.key }).equals(uploaded),
        isErrorKnown: esm.isS3FileError(refused, 'file-too-large') && !(refused instanceof esm.UploadError),
        shown: await cjs.withUrls({ file: uploaded }),
      }))
    `
    expect(run('shared.mjs', program)).toEqual({
      areTwoCopies: true,
      isStorageShared: true,
      isFieldShared: true,
      isFileKnown: true,
      isFileEqual: true,
      isErrorKnown: true,
      shown: { file: expect.objectContaining({ name: 'file', size: 5, url: expect.any(String) }) },
    })
  })

  it.each([
    ['CommonJS', 'cts', 'cjs'],
    ['ESM', 'mts', 'mjs'],
  ])('gives an entity compiled as %s its types and its column', (_kind, source, compiled) => {
    writeFileSync(
      join(project, `document.${source}`),
      `
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
      `,
    )
    const compiler = join(modules, 'typescript', 'bin', 'tsc')
    const options = ['--module', 'node16', '--target', 'es2022', '--experimentalDecorators', '--strict']
    const checks = ['--exactOptionalPropertyTypes', '--types', 'node', '--skipLibCheck']
    execFileSync(process.execPath, [compiler, ...options, ...checks, `document.${source}`], {
      cwd: project,
      stdio: 'pipe',
    })
    const printed = execFileSync(process.execPath, [`document.${compiled}`], {
      cwd: project,
      encoding: 'utf8',
    })
    expect(JSON.parse(printed)).toEqual([{ name: 'a.txt', size: 5, contentType: 'text/plain' }, 'hello'])
  })
})

describe('an application of Nest', () => {
  const json = { name: 'a.txt', size: 5, contentType: 'text/plain' }
  const backlog = { entries: 0, due: 0, failing: 0, oldest: null }
  const answers = {
    uploaded: [201, { file: json, title: 'T' }],
    tooLarge: [413, expect.objectContaining({ code: 'file-too-large', error: 'Payload Too Large' })],
    failed: [500, { statusCode: 500, message: 'Internal server error' }],
    health: {
      files: {
        status: 'up',
        storages: { default: { status: 'up' } },
        journals: [{ status: 'up', ...backlog }],
      },
    },
    objects: 1,
    swagger: ['multipart/form-data'],
  }
  const compile = (folder: string, file: string, ...options: string[]) => {
    writeFileSync(join(folder, file), nestApp)
    const compiler = join(folder, 'node_modules', 'typescript', 'bin', 'tsc')
    const decorators = ['--experimentalDecorators', '--emitDecoratorMetadata']
    const common = ['--target', 'es2022', '--types', 'node', '--skipLibCheck', ...decorators]
    execFileSync(process.execPath, [compiler, ...common, ...options, file], { cwd: folder, stdio: 'pipe' })
  }
  const printed = (folder: string, file: string) =>
    JSON.parse(execFileSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' }))

  it('12 runs as ESM, on Express and on Fastify', () => {
    compile(project, 'nest-app.mts', '--module', 'nodenext')
    expect(printed(project, 'nest-app.mjs')).toEqual({ express: answers, fastify: answers })
  })

  it('11 runs as CommonJS, on Express and on Fastify, with types that are found the old way', () => {
    const consumer = join(root, 'nest-11')
    mkdirSync(consumer)
    writeFileSync(join(consumer, 'package.json'), '{}')
    const names = ['common', 'core', 'platform-express', 'platform-fastify', 'swagger']
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
    npm(consumer, 'install', ...quiet, ...names.map((name) => `@nestjs/${name}@11`), 'typescript@5.9')
    installInto(consumer)
    compile(consumer, 'nest-app.ts', '--module', 'commonjs', '--moduleResolution', 'node10')
    expect(printed(consumer, 'nest-app.js')).toEqual({ express: answers, fastify: answers })
  })
})
