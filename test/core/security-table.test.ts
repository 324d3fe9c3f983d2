import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const root = new URL('../../', import.meta.url)
const table = readFileSync(new URL('SECURITY.md', root), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(2, -2).split(' | '))
  .filter((cells) => cells.length === 3 && cells[0] !== 'attack')

describe('each attack in SECURITY.md', () => {
  it('names what shows its end', () => {
    expect(table.length).toBeGreaterThan(40)
    for (const [attack, , proof] of table)
      expect(`${attack}: ${proof}`).toMatch(/: `test\/[^`]+\.test\.ts`: "/)
  })

  it.each(
    table.flatMap(([attack, , proof = '']) => proof.split('; ').map((each) => [attack, each] as const)),
  )('"%s" is shown by what is there: %s', (_attack, proof) => {
    const [, file, title] = /^`([^`]+)`(?:: "(.+)")?$/.exec(proof) ?? []
    if (file?.startsWith('npm run ')) {
      const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
      expect(Object.keys(scripts)).toContain(file.slice('npm run '.length))
      return
    }
    const path = new URL(file as string, root)
    expect(existsSync(path), file).toBe(true)
    if (title === undefined) return
    expect(titlesOf(readFileSync(path, 'utf8'))).toContain(title)
  })
})

/** What stands in quotes behind `it(` or `it.each(…)(`. */
function titlesOf(code: string): string[] {
  const titles = code.matchAll(/(?:\bit|\btest|\))\(\s*(['"`])((?:\\.|(?!\1).)*)\1,/g)
  return [...titles].map(([, , title]) => (title as string).replace(/\\(.)/g, '$1'))
}
