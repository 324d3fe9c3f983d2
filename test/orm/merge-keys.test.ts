import { describe, expect, it } from 'vitest'
import { inByteOrder, mergeKeys } from '../../src/orm/merge-keys.ts'

async function* each<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = []
  for await (const item of items) collected.push(item)
  return collected
}

const objects = (...keys: string[]) => each(keys.map((key) => ({ key })))

describe('mergeKeys', () => {
  it('gives what only one side has, in order', async () => {
    const differences = mergeKeys(objects('a', 'c', 'd', 'g'), each(['b', 'c', 'g', 'h']))
    expect(await collect(differences)).toEqual([
      { object: { key: 'a' } },
      { rowKey: 'b' },
      { object: { key: 'd' } },
      { rowKey: 'h' },
    ])
  })

  it('compares keys by their UTF-8 bytes, not as JavaScript does', async () => {
    const keys = ['Z', 'a', 'é', '\uff5e', '\u{1f600}']
    expect(await collect(mergeKeys(objects(...keys), each(keys)))).toEqual([])
  })

  it('holds one item of each side, whatever their number', async () => {
    const count = 200_000
    const taken = { objects: 0, rows: 0 }
    const keyOf = (index: number) => String(index).padStart(6, '0')
    const numbered = async function* (counter: 'objects' | 'rows', isThere: (index: number) => boolean) {
      for (let index = 0; index < count; index++) {
        taken[counter] = index
        if (isThere(index)) yield keyOf(index)
      }
    }
    const listed = async function* () {
      for await (const key of numbered('objects', (index) => index % 3 !== 0)) yield { key }
    }
    let found = 0
    let ahead = 0
    for await (const difference of mergeKeys(
      listed(),
      numbered('rows', (index) => index % 2 === 0),
    )) {
      found++
      const at = Number('object' in difference ? difference.object.key : difference.rowKey)
      ahead = Math.max(ahead, taken.objects - at, taken.rows - at)
    }
    expect(found).toBe(100_001)
    expect(ahead).toBeLessThanOrEqual(2)
  })

  it('ends both sides when nobody wants more', async () => {
    const ended: string[] = []
    const endless = async function* (side: string) {
      try {
        for (let index = 0; ; index++) yield { key: `${side}${index}` }
      } finally {
        ended.push(side)
      }
    }
    const keys = async function* () {
      for await (const { key } of endless('b')) yield key
    }
    for await (const _ of mergeKeys(endless('a'), keys())) break
    expect(ended.sort()).toEqual(['a', 'b'])
  })
})

describe('inByteOrder', () => {
  const ordered = (...keys: string[]) =>
    collect(
      inByteOrder(
        each(keys),
        (key) => key,
        (key, previous) => new Error(`${key} behind ${previous}`),
      ),
    )

  it('gives each key once', async () => {
    expect(await ordered('a', 'a', 'b', 'b')).toEqual(['a', 'b'])
  })

  it('refuses keys in another order', async () => {
    await expect(ordered('b', 'a')).rejects.toThrow('a behind b')
    await expect(ordered('\u{1f600}', '\uff5e')).rejects.toThrow('behind')
  })
})
