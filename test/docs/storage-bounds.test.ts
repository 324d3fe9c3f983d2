import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { formatBytes } from '../../src/core/bytes.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import { repository } from './markdown.ts'

const page = readFileSync(join(repository, 'docs/storages.md'), 'utf8')
const source = readFileSync(join(repository, 'src/storage/s3-storage-options.ts'), 'utf8')

/** The bounds that the code holds an option to, as its refusal of a fraction names them. */
function boundsOf(name: string): [number, number] {
  const options = name.startsWith('urls.') ? { urls: { [name.slice(5)]: 1.5 } } : { [name]: 1.5 }
  try {
    new S3Storage({ bucket: 'b', ...options })
  } catch (error) {
    const [, from, to] = /an integer from (\d+) to (\d+)/.exec((error as Error).message) ?? []
    return [Number(from), Number(to)]
  }
  throw new Error(`${name} takes a fraction`)
}

it.each([
  'partSizeBytes',
  'maxConcurrentParts',
  'requestTimeoutSeconds',
  'urls.expiresInSeconds',
  'urls.windowSeconds',
])('the page on storages and the docstring name the bounds of %s that the code checks', (name) => {
  const [from, to] = boundsOf(name)
  const written = name.endsWith('Bytes')
    ? `${formatBytes(from)} to ${formatBytes(to)}`
    : `${from} to ${to.toLocaleString('en-US')}`
  const property = name.replace('urls.', '')
  const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\` |`))
  expect(row).toContain(written)
  const docstring = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s*${property}\\?:`).exec(source)?.[1]
  expect(docstring?.replace(/\s*\n\s*\*/g, '')).toContain(written)
})
