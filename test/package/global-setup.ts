import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { installTarball, linkAll, modules, repository } from './consumer.ts'

export interface Packed {
  tarball: string
  /** What the tarball holds. */
  files: string[]
  /** Bytes of the tarball, and of what it holds. */
  size: number
  unpackedSize: number
  /** A project with the tarball, and whatever this repository has. */
  current: string
  /** The same with what is supported besides: Nest 11, TypeORM 0.3, TypeScript 5.9, ts-node, and another Node and a bundler. */
  older: string
  /** An empty folder, for projects with less. */
  others: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    packed: Packed
  }
}

const notCopied = new Set(['node_modules', '.git', '.servers', 'coverage', 'dist'])
const olderPackages = [
  ...['common', 'core', 'platform-express', 'platform-fastify', 'swagger'].map(
    (name) => `@nestjs/${name}@11`,
  ),
  'typeorm@0.3',
  'typescript@5.9',
  'ts-node@10',
  'esbuild@0.28',
  // What the npm package `node` fetches in its install script.
  `node-22@npm:node-${process.platform}-${process.arch}@22`,
]

/** Packs the package, and makes the projects that the tests put their programs into. */
export default async function setUp(project: TestProject): Promise<() => void> {
  const root = mkdtempSync(join(tmpdir(), 'typeorm-s3-file-package-'))
  const remove = () => rmSync(root, { recursive: true, force: true })
  try {
    const folder = (name: string) => {
      mkdirSync(join(root, name, 'node_modules'), { recursive: true })
      writeFileSync(join(root, name, 'package.json'), '{}')
      return join(root, name)
    }
    const [current, older, others] = [folder('current'), folder('older'), folder('others')]
    const [packed] = await Promise.all([pack(join(root, 'copy')), installOlder(older)])
    for (const consumer of [current, older]) {
      installTarball(packed.tarball, consumer)
      linkAll(consumer)
    }
    project.provide('packed', { ...packed, current, older, others })
  } catch (error) {
    remove()
    throw error
  }
  return remove
}

/** Builds and packs a copy of the repository, so that neither its dist nor a build beside this one matters. */
async function pack(copy: string): Promise<Pick<Packed, 'tarball' | 'files' | 'size' | 'unpackedSize'>> {
  cpSync(repository, copy, { recursive: true, filter: (path) => !notCopied.has(basename(path)) })
  symlinkSync(modules, join(copy, 'node_modules'))
  await npm(copy, 'run', 'build')
  const [{ filename, files, size, unpackedSize }] = JSON.parse(await npm(copy, 'pack', '--json')) as [
    { filename: string; files: { path: string }[]; size: number; unpackedSize: number },
  ]
  return { tarball: join(copy, filename), files: files.map(({ path }) => path), size, unpackedSize }
}

async function installOlder(folder: string): Promise<void> {
  await npm(
    folder,
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    ...olderPackages,
  )
}

async function npm(cwd: string, ...parameters: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('npm', ['--loglevel=error', ...parameters], { cwd })
  return stdout
}
