import { canonicalType, typeOfExtension, unknownType } from '../core/media-types.js'
import { signedType } from './byte-signatures.js'
import { containerType } from './container-types.js'
import { parseMediaType } from './parse-media-type.js'
import type { SniffedType } from './sniffed-type.js'
import { structuredType } from './structured-types.js'
import { textType } from './text-types.js'

// RFC 6838, 4.2: type and subtype have at most 127 characters each.
const fitEssence = /^[^/]{1,127}\/.{1,127}$/

/** As many leading bytes as types are told by: a comment before a page's first tag, the first entries of an archive. */
export const sniffedBytes = 4100

/** The media type that a client claims, in lower case and without parameters; what is none counts as unknown. */
export function claimedMediaType(claim: string | undefined): string {
  const type = parseMediaType(claim)?.essence ?? unknownType
  return fitEssence.test(type) ? type : unknownType
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
