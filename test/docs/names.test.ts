import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseDuration } from '../../src/cli/duration.ts'
import { janitorCommand } from '../../src/cli/janitor.ts'
import { reconcileCommand } from '../../src/cli/reconcile.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { FileJanitor, janitorDefaults } from '../../src/orm/file-janitor.ts'
import { reconcileDefaults } from '../../src/orm/reconcile.ts'
import { codeOf, guides, proseOf, repository } from './markdown.ts'
import { publicNames } from './public-names.ts'

const pagesForUsers = guides.filter((page) => page !== 'CONTRIBUTING.md')
const written = pagesForUsers.flatMap(codeOf).join('\n')
const sourceOf = (path: string) => readFileSync(join(repository, 'src', path), 'utf8')

it('every export is named on a page', () => {
  const unnamed = publicNames.filter(({ name }) => !new RegExp(`\\b${name}\\b`).test(written))
  expect(unnamed.map(({ name, entry }) => `${name} of ${entry}`)).toEqual([])
})

it.each([
  ['S3File', S3File.prototype],
  ['FileJanitor', FileJanitor.prototype],
])('every method of %s is named on a page', (_name, prototype) => {
  const methods = Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor')
    .map(([name]) => name)
  expect(methods.filter((name) => !new RegExp(`\\b${name}\\(`).test(written))).toEqual([])
  expect(methods.length).toBeGreaterThan(2)
})

describe('the command line', () => {
  const commands = readdirSync(join(repository, 'src', 'cli')).map((name) => sourceOf(join('cli', name)))
  const flags = commands.flatMap((source) =>
    [...source.matchAll(/^\s+'?([\w-]+)'?: \{ type: '(?:string|boolean)'/gm)].map(([, name]) => `--${name}`),
  )

  it.each([...new Set(flags)])('%s is named in a help text and on a page', (flag) => {
    expect(commands.join('\n')).toMatch(new RegExp(` {2}(?:-\\w, )?${flag} `))
    expect(written).toMatch(new RegExp(`${flag}\\b`))
  })

  it.each([
    ['interval', janitorCommand, janitorDefaults.intervalSeconds],
    ['batch-size', janitorCommand, janitorDefaults.batchSize],
    ['older-than', reconcileCommand, reconcileDefaults.olderThanSeconds],
  ])('--%s has the default of the code in the help text', (flag, { help }, value) => {
    const [, stated = ''] = new RegExp(`--${flag} .*\\(default: (\\w+)\\)`).exec(help) ?? []
    expect(/^\d+$/.test(stated) ? Number(stated) : parseDuration(flag, stated)).toBe(value)
  })

  it('has its flags found by this test', () => {
    expect(flags).toEqual(expect.arrayContaining(['--data-source', '--json', '--once', '--older-than']))
  })
})

it('every warning code is on a page', () => {
  const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' })
  const codes = sources
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => sourceOf(path).match(/S3FILE_[A-Z_]+/g) ?? [])
  expect([...new Set(codes)].filter((code) => !written.includes(code))).toEqual([])
  expect(codes).toContain('S3FILE_CLEANUP')
})

it('every channel of events is on the page on observability', () => {
  const channels = sourceOf('core/events.ts').match(/typeorm-s3-file:[a-z:]+(?='\??:)/g) ?? []
  const described = codeOf('docs/observability.md').join('\n')
  expect(channels.filter((channel) => !described.includes(channel))).toEqual([])
  expect(channels.length).toBeGreaterThan(5)
})

it('every error code is in the table of codes, beside its status', () => {
  const statusByCode = [...sourceOf('core/errors.ts').matchAll(/^ {2}'?([a-z-]+)'?: (\d{3}),$/gm)]
  const rows = [...proseOf('docs/uploading.md').matchAll(/^\| ([\d, ]+) \| (.+) \|$/gm)]
  const described = rows.flatMap(([, statuses = '', codes = '']) =>
    codes
      .split('; ')
      .flatMap((group, index) =>
        [...group.matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)].map(
          ([, code]) => `${code} ${statuses.split(', ')[index]}`,
        ),
      ),
  )
  expect(described.sort()).toEqual(statusByCode.map(([, code, status]) => `${code} ${status}`).sort())
  expect(described.length).toBeGreaterThan(40)
})
