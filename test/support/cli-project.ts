import { execFileSync, spawn } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const repository = new URL('../..', import.meta.url).pathname
const modules = join(repository, 'node_modules')

export interface CliResult {
  exitCode: number | null
  stdout: string
  stderr: string
}

/** A project in a temporary folder that has this package, built of what is in src, among its modules. */
export class CliProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'typeorm-s3-file-cli-'))
  readonly #installed = join(this.folder, 'node_modules', 'typeorm-s3-file')

  constructor() {
    mkdirSync(this.#installed, { recursive: true })
    for (const name of readdirSync(modules)) {
      symlinkSync(join(modules, name), join(this.folder, 'node_modules', name))
    }
    const commonJs = [
      '--module',
      'commonjs',
      '--moduleResolution',
      'bundler',
      '--verbatimModuleSyntax',
      'false',
    ]
    this.#compile('esm', [])
    this.#compile('cjs', commonJs)
    writeFileSync(join(this.#installed, 'dist', 'cjs', 'package.json'), '{"type":"commonjs"}')
    copyFileSync(join(repository, 'package.json'), join(this.#installed, 'package.json'))
    this.write('package.json', '{}')
  }

  #compile(kind: 'esm' | 'cjs', options: string[]): void {
    const compiler = join(modules, 'typescript', 'bin', 'tsc')
    const outDir = join(this.#installed, 'dist', kind)
    execFileSync(process.execPath, [compiler, ...options, '--outDir', outDir, '--declaration', 'false'], {
      cwd: repository,
    })
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text)
  }

  /** Starts a command; `onOutput` is called with all of its stdout as it comes, and may end the process. */
  run(
    args: string[],
    onOutput: (stdout: string, end: (signal: NodeJS.Signals) => void) => void = () => undefined,
    env: NodeJS.ProcessEnv = {},
  ): Promise<CliResult> {
    return new Promise((resolve, reject) => {
      const main = join(this.#installed, 'dist', 'esm', 'cli', 'main.js')
      const child = spawn(process.execPath, [main, ...args], {
        cwd: this.folder,
        env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const result: CliResult = { exitCode: null, stdout: '', stderr: '' }
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        result.stdout += text
        onOutput(result.stdout, (signal) => child.kill(signal))
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        result.stderr += text
      })
      child.once('error', reject)
      child.once('close', (exitCode) => resolve({ ...result, exitCode }))
    })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
