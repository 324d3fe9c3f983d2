import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repository } from './markdown.ts'
import { publicNames } from './public-names.ts'

it('every name that is exported has a docstring', () => {
  const bare = publicNames.filter(({ name, file }) => {
    const lines = readFileSync(join(repository, file), 'utf8').split('\n')
    const declares = new RegExp(
      `^export (?:declare )?(?:abstract )?(?:async )?(?:function\\*?|class|interface|type|const) ${name}\\b`,
    )
    let line = lines.findIndex((text) => declares.test(text))
    // Between the docstring and a class are its decorators.
    while (line > 0 && lines[line - 1] !== '' && !lines[line - 1]?.endsWith('*/')) line--
    return line < 1 || !lines[line - 1]?.endsWith('*/')
  })
  expect(bare.map(({ name, file }) => `${name} in ${file}`)).toEqual([])
  expect(publicNames.length).toBeGreaterThan(80)
})
