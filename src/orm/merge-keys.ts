import { compareKeys } from '../core/object-key.js'

/** What only one of the two sides has. */
export type Difference<Item> = { object: Item } | { rowKey: string }

/** Merges objects with the keys of rows, both in order and without repetition, and gives what only one side has. */
export async function* mergeKeys<Item extends { key: string }>(
  objects: AsyncIterable<Item>,
  rowKeys: AsyncIterable<string>,
): AsyncGenerator<Difference<Item>> {
  const left = objects[Symbol.asyncIterator]()
  const right = rowKeys[Symbol.asyncIterator]()
  try {
    let object = await left.next()
    let row = await right.next()
    while (!object.done || !row.done) {
      const order = object.done ? 1 : row.done ? -1 : compareKeys(object.value.key, row.value)
      if (order < 0) yield { object: object.value }
      if (order > 0) yield { rowKey: row.value }
      if (order <= 0) object = await left.next()
      if (order >= 0) row = await right.next()
    }
  } finally {
    await Promise.all([left.return?.(), right.return?.()])
  }
}

/**
 * Passes on what comes in the order of the keys' UTF-8 bytes, each key once.
 *
 * @param onDisorder gives the error to throw when a key comes behind one that sorts after it.
 */
export async function* inByteOrder<Item>(
  items: AsyncIterable<Item>,
  keyOf: (item: Item) => string,
  onDisorder: (key: string, previous: string) => Error,
): AsyncGenerator<Item> {
  let previous: string | undefined
  for await (const item of items) {
    const key = keyOf(item)
    const order = previous === undefined ? 1 : compareKeys(key, previous)
    if (order < 0) throw onDisorder(key, previous as string)
    previous = key
    if (order > 0) yield item
  }
}
