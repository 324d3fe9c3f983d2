const fallback = 'application/octet-stream'

// RFC 9110, 8.3.1: type "/" subtype, both tokens.
const mediaType = /^[a-z0-9!#$%&'*+.^_`|~-]{1,127}\/[a-z0-9!#$%&'*+.^_`|~-]{1,127}$/

/** The media type that a client claims, in lower case and without parameters; what is none counts as unknown. */
export function claimedMediaType(claim: string | undefined): string {
  const type = claim?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return mediaType.test(type) ? type : fallback
}
