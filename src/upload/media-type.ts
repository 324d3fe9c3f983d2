import { canonicalType, typeOfExtension, unknownType } from '../core/media-types.js'
import { signedType } from './byte-signatures.js'
import { containerType } from './container-types.js'
import type { SniffedType } from './sniffed-type.js'
import { structuredType } from './structured-types.js'
import { textType } from './text-types.js'

// RFC 9110, 8.3.1: type "/" subtype, both tokens.
const mediaType = /^[a-z0-9!#$%&'*+.^_`|~-]{1,127}\/[a-z0-9!#$%&'*+.^_`|~-]{1,127}$/

/** As many leading bytes as types are told by: a comment before a page's first tag, the first entries of an archive. */
export const sniffedBytes = 4100

/** The media type that a client claims, in lower case and without parameters; what is none counts as unknown. */
export function claimedMediaType(claim: string | undefined): string {
  const type = claim?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return mediaType.test(type) ? type : unknownType
}

/** What a file's first bytes are. */
export function sniffMediaType(head: Buffer): SniffedType {
  // Text that begins like an image is text: no image is free of control characters.
  const text = textType(head)
  if (text !== undefined) return text
  const type = signedType(head) ?? structuredType(head)
  if (type !== undefined) return { type }
  return containerType(head) ?? { type: unknownType }
}

/**
 * The type to store: what the bytes are. Where they may be several types, the extension decides, and then the claim.
 */
export function settledMediaType(sniffed: SniffedType, extension: string, declared: string): string {
  const claims = [typeOfExtension(extension), canonicalType(declared)]
  const { type, alternatives = [] } = sniffed
  return claims.find((claim) => claim !== undefined && alternatives.includes(claim)) ?? type
}
