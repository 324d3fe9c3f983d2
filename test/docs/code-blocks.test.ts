import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DocsProject } from './docs-project.ts'
import { codeBlocksOf, guides, repository } from './markdown.ts'

const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
let project: DocsProject
let errors: string[]
beforeAll(() => {
  project = new DocsProject()
  errors = project.compile()
})
afterAll(() => project.remove())

it('all TypeScript compiles against the package, each line of it', () => {
  expect(errors).toEqual([])
  expect(project.fragments.length).toBeGreaterThan(30)
})

it('fragments run, but for those that need a request or a server', () => {
  const isApart = (code: string) => /\breq\b|\b(?:res|app)\.|JSON_VALUE/.test(code)
  const fragments = project.fragments.filter(({ code }) => !isApart(code))
  const { output } = project.run('', 'run-fragments.mjs', JSON.stringify(fragments))
  expect(output.trim().split('\n').at(-1), output).toBe('[]')
  expect(fragments.length).toBeGreaterThan(20)
})

const shellLines = guides
  .flatMap(codeBlocksOf)
  .filter(({ language }) => language === 'sh')
  .flatMap(({ page, line, code }) =>
    code.split('\n').map((text, index) => ({
      place: `${page}:${line + index}`,
      // Without comments, and with all that is optional.
      command: text.replace(/\s*#.*$/, '').replace(/[[\]]/g, ''),
    })),
  )
const commandsLike = (pattern: RegExp) =>
  shellLines.flatMap(({ place, command }) => {
    const rest = pattern.exec(command)?.[1]
    return rest === undefined ? [] : [[place, rest.trim()] as const]
  })

describe('shell commands', () => {
  it.each(commandsLike(/^npx typeorm-s3-file (.*)$/))('%s: typeorm-s3-file %s', (_place, args) => {
    const main = join('node_modules', 'typeorm-s3-file', 'dist', 'esm', 'cli', 'main.js')
    const { exitCode, output } = project.run('', main, ...args.split(/\s+/))
    // 1 is a finding of what is out of order; 2 is a command that is not right.
    expect([0, 1], output).toContain(exitCode)
  })

  it.each(commandsLike(/^npm run ([\w:]+)/))('%s: the script %s is there', (_place, script) => {
    expect(Object.keys(scripts)).toContain(script)
  })

  it.each(commandsLike(/^npm install (.*)$/))('%s: npm install %s', (_place, names) => {
    expect(
      names
        .split(' ')
        .filter((name) => !name.startsWith('-') && !existsSync(join(project.folder, 'node_modules', name))),
    ).toEqual([])
  })
})
