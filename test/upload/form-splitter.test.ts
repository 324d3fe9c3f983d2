import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolveLimits } from '../../src/upload/form-limits.ts'
import { FormSplitter } from '../../src/upload/form-splitter.ts'
import { errorOf } from '../support/error-of.ts'

const limits = resolveLimits(
  { preambleSizeBytes: 10, epilogueSizeBytes: 10, partHeaderSizeBytes: 256, partHeaders: 3 },
  1,
)

interface Part {
  header: string
  content: string
}

/** What a body that comes in such chunks is split into. */
function split(chunks: (string | Buffer)[], boundary = 'b'): Part[] {
  const parts: Part[] = []
  const open: Buffer[] = []
  const splitter = new FormSplitter(boundary, limits, {
    onHeader: (bytes) => void parts.push({ header: bytes.toString('latin1'), content: 'has not ended' }),
    onContent: (bytes) => void open.push(bytes),
    onPartEnd: () => {
      ;(parts.at(-1) as Part).content = Buffer.concat(open.splice(0)).toString('latin1')
    },
  })
  for (const chunk of chunks) splitter.write(Buffer.from(chunk as string, 'latin1'))
  splitter.end()
  return parts
}

const form = '--b\r\nh: 1\r\n\r\none\r\n--b\r\nh: 2\r\ni: 3\r\n\r\n\r\n--b--\r\n'
const parts = [
  { header: 'h: 1', content: 'one' },
  { header: 'h: 2\r\ni: 3', content: '' },
]

describe('a form', () => {
  it('is split into its parts', () => {
    expect(split([form])).toEqual(parts)
  })

  it('is the same wherever its chunks end', () => {
    for (let at = 0; at <= form.length; at++)
      expect(split([form.slice(0, at), form.slice(at)])).toEqual(parts)
    expect(split([...form])).toEqual(parts)
  })

  it.each([
    ['no part', '--b--', []],
    ['an empty part right behind its header', '--b\r\nh: 1\r\n\r\n--b--', [{ header: 'h: 1', content: '' }]],
  ])('may have %s', (_what, body, expected) => {
    expect(split([body])).toEqual(expected)
    expect(split([...body])).toEqual(expected)
  })

  it('may have blanks and tabs behind its boundaries, as gateways leave them', () => {
    const body = '--b \t\r\nh: 1\r\n\r\none\r\n--b  \r\nh: 2\r\ni: 3\r\n\r\n\r\n--b-- \t \r\n'
    expect(split([body])).toEqual(parts)
    expect(split([...body])).toEqual(parts)
  })

  it('keeps what only looks like a boundary in the content', () => {
    const content = 'x\r\n-b\r\n--a\r\r\n--\r\n--c\r\n\r\n--'
    for (const chunks of [[content], [...content]]) {
      expect(split(['--b\r\nh: 1\r\n\r\n', ...chunks, '\r\n--b--'])).toEqual([{ header: 'h: 1', content }])
    }
  })

  it('of any content and any chunks comes out as it went in', () => {
    const piece = fc.constantFrom(
      '\r',
      '\n',
      '\r\n',
      '-',
      '--',
      '--ab',
      '\r\n--a',
      '\r\n--abc',
      'x',
      'ab',
      ' ',
    )
    const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))
    const content = text.filter((value) => !`\r\n${value}\r\n--abcd`.slice(0, -1).includes('\r\n--abcd'))
    fc.assert(
      fc.property(
        fc.array(content, { maxLength: 4 }),
        fc.array(fc.nat(12), { maxLength: 40 }),
        (contents, cuts) => {
          const body =
            `${contents.map((value) => `\r\n--abcd\r\nh: 1\r\n\r\n${value}`).join('')}\r\n--abcd--`.slice(2)
          const chunks: string[] = []
          let at = 0
          for (const length of cuts) {
            chunks.push(body.slice(at, at + length))
            at += length
          }
          chunks.push(body.slice(at))
          expect(split(chunks, 'abcd').map((part) => part.content)).toEqual(contents)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('a limit', () => {
  const part = '--b\r\nh: 1\r\n\r\nx\r\n'
  it.each([
    ['a preamble', 'preambleSizeBytes', (size: number) => `${'p'.repeat(size)}\r\n${part}--b--`, 10],
    ['an epilogue', 'epilogueSizeBytes', (size: number) => `${part}--b--\r\n${'e'.repeat(size)}`, 10],
    [
      'a part header',
      'partHeaderSizeBytes',
      (size: number) => `--b\r\nh: ${'v'.repeat(size - 7)}\r\n\r\nx\r\n--b--`,
      256,
    ],
    ['header lines', 'partHeaders', (size: number) => `--b\r\n${'h: 1\r\n'.repeat(size)}\r\nx\r\n--b--`, 3],
  ] as const)('of %s lets exactly as much pass, in any chunks', (_what, limit, body, value) => {
    for (const chunksOf of [(text: string) => [text], (text: string) => [...text]]) {
      expect(split(chunksOf(body(value)))).toHaveLength(1)
      const error = errorOf(() => split(chunksOf(body(value + 1))))
      expect(error).toMatchObject({ statusCode: 413, context: { limit, value } })
    }
  })

  it.each([
    ['preamble', ['p'.repeat(5), 'p'.repeat(6)]],
    ['epilogue', [`${part}--b--`, '\r\n', 'e'.repeat(11)]],
    ['part header', ['--b\r\nh: ', 'v'.repeat(300)]],
    ['row of blanks behind a boundary', ['--b', ' '.repeat(300)]],
  ])('stops a %s that never ends', (_what, chunks) => {
    expect(errorOf(() => split(chunks)).statusCode).toBe(413)
  })
})

it.each([
  ['a boundary with something behind it', '--b\r\nh: 1\r\n\r\nx\r\n--bc\r\n', 'malformed-body'],
  ['one dash only behind the boundary', '--b\r\nh: 1\r\n\r\nx\r\n--b-\r\n', 'malformed-body'],
  ['dashes that are not right behind the boundary', '--b\r\nh: 1\r\n\r\nx\r\n--b --', 'malformed-body'],
  ['line feeds alone', '--b\nh: 1\n\nx\n--b--\n', 'malformed-body'],
  ['no end', '--b\r\nh: 1\r\n\r\nx\r\n--b\r\n', 'truncated-body'],
  ['nothing at all', '', 'truncated-body'],
  ['half of its last boundary', '--b\r\nh: 1\r\n\r\nx\r\n--b-', 'truncated-body'],
])('a body with %s is refused', (_what, body, code) => {
  expect(errorOf(() => split([body])).code).toBe(code)
})

it('gives no piece after it was stopped, even in the middle of a chunk', () => {
  const seen: string[] = []
  const splitter = new FormSplitter('b', limits, {
    onHeader: (bytes) => {
      seen.push(bytes.toString())
      splitter.stop()
    },
    onContent: () => void seen.push('content'),
    onPartEnd: () => void seen.push('end'),
  })
  splitter.write(Buffer.from(form))
  splitter.write(Buffer.from(form))
  expect(seen).toEqual(['h: 1'])
})
