import { describe, expect, it } from 'vitest'
import { S3File } from '../../src/core/s3-file.ts'
import { diffFiles } from '../../src/orm/file-changes.ts'

const file = (key: string, storage = 'default') => new S3File({ key, storage })

describe('what has come to a list of files, and what has gone', () => {
  const [a, b, c] = [file('a'), file('b'), file('c')]

  it.each([
    ['nothing', [a, b], [a, b], [], []],
    ['nothing, in another order', [a, b], [b, a], [], []],
    ['one more', [a], [a, b], [b], []],
    ['one less', [a, b], [b], [], [a]],
    ['another one', [a], [b], [b], [a]],
    ['all of them', [], [a, b], [a, b], []],
    ['none of them', [a, b], [], [], [a, b]],
    ['several', [a, b], [b, c], [c], [a]],
  ])('%s', (_, before, after, added, removed) => {
    expect(diffFiles(before, after)).toEqual({ added, removed })
  })

  it('goes by storage and key, not by what else is known of a file', () => {
    const renamed = new S3File({ key: 'a', name: 'renamed' })
    expect(diffFiles([a], [renamed])).toEqual({ added: [], removed: [] })
    const elsewhere = file('a', 'other')
    expect(diffFiles([a], [elsewhere])).toEqual({ added: [elsewhere], removed: [a] })
  })

  it('tells of a file once that is several times in a list, and not while it is still in it', () => {
    expect(diffFiles([a, a], [b, b])).toEqual({ added: [b], removed: [a] })
    expect(diffFiles([a, a], [a])).toEqual({ added: [], removed: [] })
  })
})
