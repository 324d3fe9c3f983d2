import { describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { changeList } from '../../src/orm/change-list.ts'

const list = (keys: string) => [...keys].map((key) => new S3File({ key }))
const keysOf = (files: unknown) => (files as S3File[]).map(({ key }) => key).join('')

describe('a list that is changed relative to the one that was loaded', () => {
  it.each([
    ['keeps what both have added', 'a', 'ab', 'ac', 'acb'],
    ['removes what either has removed', 'abc', 'bc', 'ab', 'b'],
    ['keeps a file once that both have added', 'a', 'ab', 'ab', 'ab'],
    ['adds to a list that was emptied meanwhile', 'ab', 'abc', '', 'c'],
    ['takes the order of the row when both have changed it', 'abc', 'cba', 'abcd', 'abcd'],
  ])('%s', (_, loaded, mine, theirs, merged) => {
    expect(keysOf(changeList(list(loaded), list(mine), list(theirs)))).toBe(merged)
  })

  it('is the list itself, with its own order, when nobody else has changed the row', () => {
    const mine = list('cab')
    expect(changeList(list('abc'), mine, list('abc'))).toBe(mine)
  })

  it('takes null for an empty list', () => {
    expect(keysOf(changeList(null, list('a'), list('b')))).toBe('ba')
    expect(keysOf(changeList(list('a'), null, list('ab')))).toBe('b')
  })
})
