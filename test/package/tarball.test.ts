import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const repository = new URL('../..', import.meta.url).pathname
const modules = join(repository, 'node_modules')
const notPacked = new Set(['node_modules', '.git', '.servers', 'coverage', 'dist'])

let root: string
/** A project that has installed the tarball. */
let project: string
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

  project = join(root, 'project')
  const installed = join(project, 'node_modules', 'typeorm-s3-file')
  mkdirSync(installed, { recursive: true })
  for (const name of readdirSync(modules))
    symlinkSync(join(modules, name), join(project, 'node_modules', name))
  execFileSync('tar', ['-xzf', join(copy, filename), '-C', installed, '--strip-components=1'])
  writeFileSync(join(project, 'package.json'), '{}')
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

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
    const entries = ['index', 'testing'].flatMap((name) =>
      ['esm', 'cjs'].flatMap((kind) => [`dist/${kind}/${name}.js`, `dist/${kind}/${name}.d.ts`]),
    )
    expect(packed).toEqual(expect.arrayContaining(entries))
  })
})

const exportsOf = (load: string) => `
  const [main, testing] = ${load}
  console.log(JSON.stringify([main, testing].map((entry) => Object.keys(entry).sort())))
`

describe('the installed package', () => {
  it('gives import and require the same names', () => {
    const imported = run(
      'names.mjs',
      exportsOf("await Promise.all([import('typeorm-s3-file'), import('typeorm-s3-file/testing')])"),
    )
    const required = run(
      'names.cjs',
      exportsOf("[require('typeorm-s3-file'), require('typeorm-s3-file/testing')]"),
    )
    expect(imported).toEqual([
      expect.arrayContaining(['S3File', 'S3FileField', 'configureStorages', 'uploadFromRequest']),
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
