import type { Readable } from 'node:stream'

/**
 * What a storage may find on the body it is given: a method by which it gives back a chunk it has copied. Its memory is then
 * free at once. Until the garbage collector comes by, 64 MB of chunks pile up, and what it takes to collect them is
 * more than to receive them.
 */
export const freeChunk = Symbol.for('typeorm-s3-file.freeChunk')

/** The body of a `put`. */
export interface Body extends Readable {
  [freeChunk]?: (chunk: Buffer) => void
}
