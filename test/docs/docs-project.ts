import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { type CodeBlock, codeBlocksOf, guides, repository } from './markdown.ts'
import { publicNames } from './public-names.ts'

const modules = join(repository, 'node_modules')
const fixtures = join(repository, 'test', 'docs', 'fixtures')
const compilerOptions = {
  module: 'nodenext',
  target: 'es2022',
  types: ['node'],
  strict: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  skipLibCheck: true,
}

export interface Fragment {
  /** The page and the line. */
  place: string
  file: string
  code: string
}

/**
 * A project that has installed the package and holds the code of all guides, a folder for each: blocks that name a file are
 * that file, those with imports are modules, the others are fragments, which stand in a function with `fixtures/context.ts`
 * around them. Each begins at the line that it has on its page, so that the compiler's errors say where they are.
 */
export class DocsProject {
  readonly folder = mkdtempSync(join(tmpdir(), 'typeorm-s3-file-docs-'))
  readonly fragments: Fragment[] = []

  constructor() {
    const installed = join(this.folder, 'node_modules', 'typeorm-s3-file')
    mkdirSync(installed, { recursive: true })
    cpSync(join(repository, 'dist'), join(installed, 'dist'), { recursive: true })
    cpSync(join(repository, 'package.json'), join(installed, 'package.json'))
    for (const name of readdirSync(modules)) {
      symlinkSync(join(modules, name), join(this.folder, 'node_modules', name))
    }
    cpSync(fixtures, this.folder, { recursive: true })
    this.write('dist/data-source.ts', readFileSync(join(fixtures, 'data-source.ts'), 'utf8'))
    this.write('package.json', '{ "type": "module" }')
    this.write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['.'] }))
    for (const block of guides.flatMap(codeBlocksOf)) this.#add(block)
  }

  #add(block: CodeBlock): void {
    const folder = basename(block.page, '.md').toLowerCase()
    const indent = '\n'.repeat(block.line - 1)
    if (block.file !== undefined) this.write(join(folder, block.file), indent + block.code)
    else if (block.language === 'ts') {
      const file = join(folder, `line-${block.line}`)
      this.write(`${file}.ts`, surround(block.code).join(indent))
      this.fragments.push({ place: `${block.page}:${block.line}`, file: `${file}.js`, code: block.code })
    }
  }

  write(file: string, text: string): void {
    const path = join(this.folder, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }

  /** Compiles all in one go and gives the errors, whose file and line are those of the page. */
  compile(): string[] {
    const compiler = join(modules, 'typescript', 'bin', 'tsc')
    const { exitCode, output } = this.run('', compiler, '--pretty', 'false')
    return exitCode === 0 ? [] : output.trim().split('\n')
  }

  /** Runs a program of node_modules or of the project in a folder of it. */
  run(folder: string, program: string, ...args: string[]): { exitCode: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      cwd: join(this.folder, folder),
      encoding: 'utf8',
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    })
    return { exitCode: status, output: stdout + stderr }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** What comes before a fragment, in one line, with its code and what comes after it. */
function surround(code: string): [string, string] {
  if (/^import /m.test(code)) return ['', code]
  const words = new Set([
    ...(code.match(/(?<![.\w])[A-Za-z_]\w*/g) ?? []),
    'Entity',
    'PrimaryGeneratedColumn',
  ])
  const imports = [...importable].filter(([name]) => words.has(name))
  const start = imports.map(([name, entry]) => `import { ${name} } from '${entry}';`).join('')
  if (/^export /m.test(code)) return [start, code]
  const open = `${start}export async function run() {`
  if (!code.startsWith('@S3FileField')) return [open, `${code}}`]
  return [`${open} @Entity() class Fragment { @PrimaryGeneratedColumn() id!: number;`, `${code}}}`]
}

/** What a fragment has without an import: all that the package and the context export. */
const importable = new Map([
  ...publicNames.map(({ name, entry }) => [name, entry] as const),
  ...contextNames().map((name) => [name, '../context.js'] as const),
])

function contextNames(): string[] {
  const text = readFileSync(join(fixtures, 'context.ts'), 'utf8')
  const declared = text.matchAll(/^export (?:declare )?(?:const|class) (\w+)/gm)
  const passedOn = text.matchAll(/^export (?:type )?\{([^}]+)\} from/gm)
  return [
    ...[...declared].map(([, name = '']) => name),
    ...[...passedOn].flatMap(([, names = '']) => names.match(/\b(?!type\b)\w+/g) ?? []),
  ]
}
