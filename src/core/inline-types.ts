import { canonicalType } from './media-types.js'

/** What a browser shows without running anything of it, in the order of how sure that is. */
const shownTypes = ['application/pdf', 'application/json', 'text/plain', 'text/csv']
const shownRanges = ['image/*', 'audio/*', 'video/*']

/** The types that a storage's URLs answer inline, unless it names others: raster images, audio, video. */
export const defaultInlineTypes: readonly string[] = shownRanges

/** One type, and nothing around it that a browser could read as another one. */
const singleType = /^([a-z]+\/[a-z0-9][a-z0-9.+-]*)(?:\s*;\s*charset="?[a-z0-9_-]+"?)?$/i

/**
 * Whether a file of that type may be shown in the browser at all. Pages, SVG, XML and scripts may not: shown, they would
 * run with the rights of the address they came from.
 */
export function mayBeInline(contentType: string | null | undefined): boolean {
  const type = singleType.exec(contentType ?? '')?.[1]?.toLowerCase()
  if (type === undefined || /svg|xml|html|script/.test(type)) return false
  return shownTypes.includes(canonicalType(type)) || shownRanges.some((range) => isInRange(type, range))
}

/** How a file of that type is served: `wanted`, where that is safe, or what the list says. */
export function dispositionOf(
  contentType: string | null | undefined,
  inlineTypes: readonly string[] = defaultInlineTypes,
  wanted?: 'attachment' | 'inline',
): 'attachment' | 'inline' {
  if (wanted === 'attachment' || !mayBeInline(contentType)) return 'attachment'
  if (wanted === 'inline') return 'inline'
  const type = canonicalType((contentType as string).split(';', 1)[0]?.trim() as string)
  return inlineTypes.some((item) => isInRange(type, item.toLowerCase())) ? 'inline' : 'attachment'
}

/** Says what is wrong with a list of types to be served inline. */
export function inlineTypesProblem(value: unknown): string | undefined {
  const isFine = (item: unknown) =>
    typeof item === 'string' && (shownRanges.includes(item.toLowerCase()) || mayBeInline(item))
  if (Array.isArray(value) && value.every(isFine)) return undefined
  return `a list of types that a browser shows without running them: ${[...shownRanges, ...shownTypes].join(', ')}`
}

/** Whether a type is `range`, or lies in it, where that is such as `image/*`. Both in lower case. */
export function isInRange(type: string, range: string): boolean {
  return range.endsWith('/*') ? type.startsWith(range.slice(0, -1)) : type === canonicalType(range)
}
