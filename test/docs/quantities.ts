const bytesByUnit = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

const quantity = String.raw`\d[\d,_]*(?:\.\d+)?(?: (?:KiB|MiB|GiB|TiB)\b)?`

function bytesOrCount(text: string): number {
  const [count = '', unit] = text.split(' ')
  return (
    Number(count.replace(/[,_]/g, '')) *
    (unit === undefined ? 1 : bytesByUnit[unit as keyof typeof bytesByUnit])
  )
}

export interface Bounds {
  from: number
  to: number
}

/** The bounds that a sentence states: `1 to 100`, `5 MiB to 5 GiB`, `at least 1`, `1 or more`. */
export function boundsIn(text: string): Bounds | undefined {
  const range = new RegExp(`(${quantity}) to (${quantity})`).exec(text)
  if (range !== null) return { from: bytesOrCount(range[1] as string), to: bytesOrCount(range[2] as string) }
  const [, least, orMore = least] =
    new RegExp(`\\bat least (${quantity})|(${quantity}) or more`).exec(text) ?? []
  return orMore === undefined ? undefined : { from: bytesOrCount(orMore), to: Number.POSITIVE_INFINITY }
}

/**
 * The value that a text begins with, as code or as a quantity: `'unique'`, `false`, `8 MiB`, `86_400 (a day)`. Words such as
 * `none` are no value.
 */
export function literalIn(text: string): unknown {
  const code = text.replaceAll('`', '').trim()
  const found = new RegExp(`^(?:'[^']*'|true|false|\\[[^\\]]*\\]|\\{\\}|${quantity})`).exec(code)?.[0]
  if (found === undefined) return undefined
  return /^\d/.test(found) ? bytesOrCount(found) : JSON.parse(found.replaceAll("'", '"'))
}

/** A number and the same in another unit after it that are not equal: `1000 (1 KiB)`. */
export function wrongGlosses(text: string): string[] {
  return [...text.matchAll(new RegExp(`(\\d[\\d,_]+) \\((${quantity})[,)]`, 'g'))]
    .filter(([, count = '', gloss = '']) => /B$/.test(gloss) && bytesOrCount(count) !== bytesOrCount(gloss))
    .map(([whole]) => whole)
}
