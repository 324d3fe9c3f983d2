import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, linksOf, pages, repository } from './markdown.ts'

/** What a run of the benchmark writes, and a release brings up to date. */
const written = ['bench/results/chart.svg', 'bench/results/table.md']

describe.each(pages)('%s', (page) => {
  it('links only to what is there', () => {
    const broken = linksOf(page).filter((link) => {
      if (/^(?:https?|mailto):/.test(link)) return false
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : normalize(join(dirname(page), path))
      if (written.includes(target)) return false
      if (!existsSync(join(repository, target))) return true
      return anchor !== undefined && !anchorsOf(target).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

it('the benchmark writes what is linked before it has run', () => {
  const writer = readFileSync(join(repository, 'bench', 'report', 'write.mjs'), 'utf8')
  expect(written.filter((path) => !writer.includes(path.replace('bench/results/', '')))).toEqual([])
})

it('every guide is reached from the README', () => {
  const linked = linksOf('README.md').map((link) => link.split('#')[0])
  expect(pages.filter((page) => page.startsWith('docs/') && !linked.includes(page))).toEqual([])
})
