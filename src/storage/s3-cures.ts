/** A pointer to what checks the whole set-up; the doctor's own findings leave it out. */
export const doctorHint = ' `npx typeorm-s3-file doctor` checks how the storage is set up.'

/** Errors of credentials, rights, names and clocks, by the name or code that the SDK gives them. */
const doctorsCases = new Set(
  [
    ['AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'RequestTimeTooSkewed', 'NoSuchBucket'],
    ['CredentialsProviderError', 'NotImplemented', 'ENOTFOUND', 'EAI_AGAIN'],
  ].flat(),
)

/** A request that failed, as far as the cure depends on it. */
export interface FailedRequest {
  /** The SDK's name of the error, or Node's code. */
  said: string
  status: number | undefined
  /** The error's own message, which may quote what was sent: looked at, not repeated. */
  message: string
  /** Whether the request carried a checksum. */
  hasChecksum: boolean
  /** The bucket's region, as the store names it. */
  actualRegion: string | undefined
  /** The region that the client is made for. */
  configuredRegion: string | undefined
}

/** How stores refuse a header that they do not know. */
const headerRefusals: unknown[] = [400, 411, 501]

/** Returns what the caller can do about it, as the end of a message: `''` where nothing is known to help. */
export function cureOf(failed: FailedRequest): string {
  const { said, status, message, hasChecksum, actualRegion, configuredRegion } = failed
  if (/^Region (?:is missing|not accepted)/.test(message))
    return '. Put it into clientConfig: { region }, or set AWS_REGION.'
  if (actualRegion !== undefined && configuredRegion !== undefined && actualRegion !== configuredRegion) {
    return `. The bucket is in region '${actualRegion}', not '${configuredRegion}': set clientConfig: { region: '${actualRegion}' }.`
  }
  const mayBeHeader = hasChecksum && headerRefusals.includes(status)
  if (mayBeHeader && /checksum|crc-?32|trailer|aws-chunked/i.test(`${said} ${message}`)) {
    return ". The store refuses the checksum: new S3Storage({ …, checksum: 'none' })."
  }
  return doctorsCases.has(said) ? `.${doctorHint}` : ''
}

/** Returns the region of the bucket, where an error of the SDK names it. */
export function regionNamedBy(error: unknown): string | undefined {
  const { Region, message, $response } = (error ?? {}) as {
    Region?: unknown
    message?: unknown
    $response?: { headers?: Record<string, string> }
  }
  // AuthorizationHeaderMalformed and IllegalLocationConstraintException name it in their text.
  const inText = /expecting '([^']+)'|The (\S+) location constraint is incompatible/.exec(String(message))
  const named = [$response?.headers?.['x-amz-bucket-region'], Region, inText?.[1] ?? inText?.[2]]
  return named.find(
    (region): region is string => typeof region === 'string' && /^[a-z0-9-]{1,50}$/.test(region),
  )
}
