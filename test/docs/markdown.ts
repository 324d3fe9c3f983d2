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

function withoutBlocks(page: string): string {
  return readPage(page).replace(/^```.*?^```$/gms, '')
}

/** A page without its code, in which nothing is a link or a heading. */
export function proseOf(page: string): string {
  return withoutBlocks(page).replace(/`[^`\n]+`/g, (code) => code.replace(/[[\]()]/g, ''))
}

export interface OptionRow {
  page: string
  line: number
  /** The interfaces that its table is of. */
  interfaces: string[]
  /** By the heading of the column. */
  cells: Record<string, string>
  /** The options in its first cell, which may name flags of a command and calls besides. */
  names: string[]
}

/** The rows of the tables that a comment before them marks: `<!-- options: FileJanitorOptions -->`. */
export function optionRowsOf(page: string): OptionRow[] {
  const text = readPage(page)
  return [...text.matchAll(/^<!-- options: (.*) -->\n((?:\|.*\n)+)/gm)].flatMap((match) => {
    const [, interfaces = '', table = ''] = match
    const [heads = [], , ...rows] = table.trim().split('\n').map(cellsOf)
    const firstLine = text.slice(0, match.index).split('\n').length + 3
    return rows.map((row, index) => ({
      page,
      line: firstLine + index,
      interfaces: interfaces.split(', '),
      cells: Object.fromEntries(row.map((cell, column) => [heads[column] ?? '', cell])),
      names: [...(row[0] ?? '').matchAll(/`(\w[\w.]*)`/g)].map(([, name = '']) => name),
    }))
  })
}

function cellsOf(row: string): string[] {
  return row
    .slice(1, -1)
    .split(' | ')
    .map((cell) => cell.trim())
}

/** What is written as code on a page, in blocks and in sentences. */
export function codeOf(page: string): string[] {
  return [...codeBlocksOf(page).map(({ code }) => code), ...(withoutBlocks(page).match(/`[^`\n]+`/g) ?? [])]
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
