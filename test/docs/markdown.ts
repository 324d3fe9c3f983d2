import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const repository = new URL('../..', import.meta.url).pathname

/** All pages that are part of the repository, by their path in it. */
export const pages = ['', 'docs', 'bench', '.changeset', '.github'].flatMap((folder) =>
  readdirSync(join(repository, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
)

/** Those whose code is checked. */
export const guides = pages.filter((page) => /^(?:README|CONTRIBUTING)\.md$|^docs\//.test(page))

export interface CodeBlock {
  page: string
  language: string
  /** Line of the page that its first line is. */
  line: number
  /** The file it is, by its first line (`// document.ts`) or by a comment before it (`<!-- file: app.ts -->`). */
  file: string | undefined
  code: string
}

function readPage(page: string): string {
  return readFileSync(join(repository, page), 'utf8')
}

export function codeBlocksOf(page: string): CodeBlock[] {
  const text = readPage(page)
  return [...text.matchAll(/(?:<!-- file: (\S+) -->\n)?^```(\w*)\n(.*?)^```$/gms)].map((match) => {
    const [whole, named, language = '', code = ''] = match
    const before = text.slice(0, match.index + whole.indexOf('```')).split('\n').length
    return { page, language, line: before + 1, file: named ?? /^\/\/ (\S+\.\w+)\n/.exec(code)?.[1], code }
  })
}

/** A page without its code, in which nothing is a link or a heading. */
function proseOf(page: string): string {
  return readPage(page)
    .replace(/^```.*?^```$/gms, '')
    .replace(/`[^`\n]+`/g, (code) => code.replace(/[[\]()]/g, ''))
}

/** Where its links and images go, as they are written. */
export function linksOf(page: string): string[] {
  return [...proseOf(page).matchAll(/\[[^\]]*\]\(\s*([^)\s]+)\s*\)/g)].map(([, target = '']) => target)
}

/** What the forge makes of its headings to link to. */
export function anchorsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  )
}
