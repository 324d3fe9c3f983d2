import { formatBytes, GiB, MiB, TiB } from '../core/bytes.js'
import { UploadError } from '../core/errors.js'

// Amazon S3 User Guide, "Amazon S3 multipart upload limits".
export const maxParts = 10_000
export const minPartBytes = 5 * MiB
export const maxPartBytes = 5 * GiB
export const maxObjectBytes = 5 * TiB

/**
 * After so many parts the next ones are twice as large. With 900, parts that begin with the least size of 5 MiB
 * reach 5 TiB within 10,000.
 */
const partsPerSize = 900

/** A file of up to so many parts goes in one: its second would cost three requests more than it saves time. */
const mostOfOnePart = 1.5

export interface PartPlanOptions {
  /** The size to begin with. */
  partSizeBytes: number
  /** The most bytes that can come; undefined when nobody said. */
  atMostBytes: number | undefined
  /** Whether all parts but the last must have one size. */
  equalParts: boolean
  /** The largest part that may be held in memory. */
  largestPartBytes: number
}

/**
 * Says how large each part of an upload is. With a known length all parts have one size, chosen so that 10,000 parts
 * suffice, and one and a half go in one; without, they grow, unless they must be equal.
 *
 * @returns the size of part `number`, counted from 1, in bytes.
 * @throws UploadError `file-too-large` at once when the length needs parts larger than `largestPartBytes`, and from
 *   the function returned when all 10,000 parts are used up.
 */
export function planParts(options: PartPlanOptions): (number: number) => number {
  const { partSizeBytes, atMostBytes, equalParts, largestPartBytes } = options
  const sizeOf =
    atMostBytes === undefined
      ? (number: number) => (equalParts ? partSizeBytes : grownSize(partSizeBytes, number, largestPartBytes))
      : constantSize(partSizeBytes, Math.min(atMostBytes, maxObjectBytes), largestPartBytes)
  return (number) => {
    if (number > maxParts) {
      throw new UploadError(
        'file-too-large',
        `the file needs more than ${maxParts} parts; say its length, or begin with larger parts than ${formatBytes(partSizeBytes)}`,
        { context: { maxParts, partSizeBytes } },
      )
    }
    return sizeOf(number)
  }
}

function constantSize(partSizeBytes: number, length: number, largestPartBytes: number): () => number {
  if (
    length > partSizeBytes &&
    length <= Math.min(partSizeBytes * mostOfOnePart, maxPartBytes, largestPartBytes)
  ) {
    return () => length
  }
  const needed = Math.ceil(Math.ceil(length / maxParts) / MiB) * MiB
  const size = Math.max(partSizeBytes, needed)
  if (size > partSizeBytes && size > largestPartBytes) {
    throw new UploadError(
      'file-too-large',
      `a file of up to ${formatBytes(length)} needs parts of ${formatBytes(size)}, more than the part memory of ` +
        `${formatBytes(largestPartBytes)}; raise it with setPartMemoryLimit(${size})`,
      { context: { atMostBytes: length, partSizeBytes: size, partMemoryBytes: largestPartBytes } },
    )
  }
  return () => size
}

function grownSize(partSizeBytes: number, number: number, largestPartBytes: number): number {
  const size = partSizeBytes * 2 ** Math.floor((number - 1) / partsPerSize)
  return Math.max(partSizeBytes, Math.min(size, maxPartBytes, largestPartBytes))
}
