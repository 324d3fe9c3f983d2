import type { Finding } from '../core/finding.js'
import { isUnsupported } from './s3-doctor-probes.js'

/** What a store makes of a CRC-32. */
export type Verdict = 'compared' | 'kept' | 'ignored' | 'refused'

/** From what became of a request with a checksum that is not the body's. */
export function verdictOf(refusalOfWrong: Error | undefined, isKept: boolean): Verdict {
  if (refusalOfWrong !== undefined) return 'compared'
  return isKept ? 'kept' : 'ignored'
}

export function judgeChecksum(
  what: string,
  verdict: Verdict,
  checksum: 'crc32' | 'none',
): string | Omit<Finding, 'check'> {
  if (verdict === 'refused') {
    const message = `refuses the CRC-32 of ${what}`
    return checksum === 'none'
      ? `${message}, and the storage sends none`
      : { status: 'problem', message, fix: "new S3Storage({ …, checksum: 'none' })" }
  }
  const message = {
    compared: `compares the CRC-32 of ${what} with the bytes that came`,
    kept: `keeps the CRC-32 of ${what}, but does not compare it with the bytes that came`,
    ignored: `takes the CRC-32 of ${what} and ignores it`,
  }[verdict]
  if (checksum === 'none') {
    return verdict === 'compared'
      ? {
          status: 'warning',
          message: `${message}, but the storage sends none`,
          fix: "take out checksum: 'none'",
        }
      : `${message}; the storage sends none`
  }
  return verdict === 'compared'
    ? message
    : { status: 'warning', message: `${message}: damage on the way is found by TLS alone` }
}

/** Of a second write of the same key. */
export function judgeCondition(
  operation: string,
  refusal: Error | undefined,
): string | Omit<Finding, 'check'> {
  return refusal === undefined
    ? {
        status: 'warning',
        message: `ignores If-None-Match: * on ${operation}: of two uploads with one key at the same time, the later one wins`,
        fix: "Keys of a field's own 'key' function must be unique; those of 'unique' and 'timestamped' are.",
      }
    : `never overwrites an object: knows If-None-Match: * on ${operation}`
}

/** Of a first write of a key. */
export function judgeRefusedCondition(operation: string, refusal: Error): Omit<Finding, 'check'> {
  return isUnsupported(refusal)
    ? {
        status: 'warning',
        message: `does not know If-None-Match: * on ${operation}; uploads go on without, and look for an object beforehand`,
        fix: "Keys of a field's own 'key' function must be unique; those of 'unique' and 'timestamped' are.",
      }
    : { status: 'problem', message: `refuses ${operation} with If-None-Match: *: ${refusal.message}` }
}
