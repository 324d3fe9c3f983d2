import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

export const repository = new URL('../..', import.meta.url).pathname
export const modules = join(repository, 'node_modules')

/** Unpacks the tarball into the project: a link would find its peers here, where all of them are. */
export function installTarball(tarball: string, project: string): void {
  const installed = join(project, 'node_modules', 'typeorm-s3-file')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
}

/** Links what this repository has, under another name if need be, in place of what the project has. */
export function link(project: string, name: string, from = name): void {
  const path = join(project, 'node_modules', name)
  if (existsSync(path)) return
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(join(modules, from), path)
}

/** Links whatever this repository has and the project has not. */
export function linkAll(project: string): void {
  for (const name of readdirSync(modules)) link(project, name)
}

/** A project in a folder of another one, whose modules it finds. */
export class Consumer {
  readonly folder: string

  constructor(parent: string, name: string, packageJson: object = {}) {
    this.folder = join(parent, name)
    mkdirSync(this.folder)
    this.write('package.json', JSON.stringify(packageJson))
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text)
  }

  /** Runs a script and gives what it prints. */
  async node(parameters: string[], runtime = process.execPath): Promise<string> {
    const env = { ...process.env, NODE_OPTIONS: '', NODE_ENV: '' }
    try {
      const { stdout } = await promisify(execFile)(runtime, parameters, { cwd: this.folder, env })
      return stdout
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      throw new Error(`node ${parameters.join(' ')} failed:\n${stdout}${stderr}`)
    }
  }

  /** Runs a program and gives what it prints, as JSON. */
  async run(file: string, program: string, runtime?: string): Promise<unknown> {
    this.write(file, program)
    return JSON.parse(await this.node([file], runtime))
  }

  /** Compiles with this repository's TypeScript. */
  async compile(options: string[], files: string[]): Promise<void> {
    const compiler = join(modules, 'typescript', 'bin', 'tsc')
    await this.node([compiler, '--target', 'es2022', '--types', 'node', ...options, ...files])
  }
}
