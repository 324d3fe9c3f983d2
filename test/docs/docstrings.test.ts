import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repository } from './markdown.ts'
import { publicNames } from './public-names.ts'

const sourceOf = (path: string) => readFileSync(join(repository, 'src', path), 'utf8')

it('every code that a docstring says is thrown is one', () => {
  const known: string[] = sourceOf('core/errors.ts').match(/(?<=^ {2}'?)[a-z-]+(?='?: \d{3},$)/gm) ?? []
  const wrong = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) =>
      (sourceOf(path).match(/@throws (?:[^@*]|\*(?!\/))*/g) ?? [])
        .flatMap((sentence) => sentence.match(/(?<=`)[a-z]+-[a-z-]+(?=`)/g) ?? [])
        .filter((code) => !known.includes(code))
        .map((code) => `${code} in src/${path}`),
    )
  expect(wrong).toEqual([])
  expect(known.length).toBeGreaterThan(40)
})

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
