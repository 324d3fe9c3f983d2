import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, linksOf, pages, repository } from './markdown.ts'

describe.each(pages)('%s', (page) => {
  it('links only to what is there', () => {
    const broken = linksOf(page).filter((link) => {
      if (/^(?:https?|mailto):/.test(link)) return false
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : normalize(join(dirname(page), path))
      if (!existsSync(join(repository, target))) return true
      return anchor !== undefined && !anchorsOf(target).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

it('every guide is reached from the README', () => {
  const linked = linksOf('README.md').map((link) => link.split('#')[0])
  expect(pages.filter((page) => page.startsWith('docs/') && !linked.includes(page))).toEqual([])
})
