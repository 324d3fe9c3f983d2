import {
  GetBucketCorsCommand,
  GetBucketLifecycleConfigurationCommand,
  type LifecycleRule,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import type { FileStorage } from '../core/file-storage.js'
import { type DiagnoseOptions, type Finding, find, reasonOf } from '../core/finding.js'
import { awsCommand, quoted } from './s3-doctor-fixes.js'
import { isDenied, isUnsupported, refusalOf, type S3Probes, s3CodeOf } from './s3-doctor-probes.js'
import { S3UrlSigner } from './s3-url-signer.js'

const fetchSeconds = 20

/** Checks what is set for the bucket as a whole: CORS, lifecycle rules, public access. */
export async function* checkBucketSettings(
  probes: S3Probes,
  storage: FileStorage,
  { origin, hasJournal, mayWrite }: DiagnoseOptions & { mayWrite: boolean },
): AsyncIterable<Finding> {
  const { signal, bucket } = probes
  const Key = probes.key('settings.txt')
  const put = new PutObjectCommand({ Bucket: bucket.name, Key, Body: 'probe' })
  const hasProbe = mayWrite && (await refusalOf(probes.write(put, 'PutObject', Key))) === undefined
  const onProbe = async (work: () => Promise<Result>): Promise<Result> =>
    hasProbe ? work() : { status: 'skipped', message: 'there is no probe to try it on' }
  yield await find('cors', signal, () => onProbe(() => checkCors(probes, storage, Key, origin)))
  yield await find('lifecycle', signal, () => checkLifecycle(probes, storage.keyPrefix, hasJournal))
  yield await find('public-access', signal, () => onProbe(() => checkPublicAccess(probes, storage, Key)))
}

export type Result = string | Omit<Finding, 'check'>

/** Asks as a page of that origin would: what counts is what the store answers, and the rules may not be ours to read. */
async function checkCors(
  probes: S3Probes,
  storage: FileStorage,
  key: string,
  origin: string | undefined,
): Promise<Result> {
  if (origin === undefined) {
    return {
      status: 'skipped',
      message:
        'links and images need no CORS; where pages fetch files by script, give --origin https://your-site.example',
    }
  }
  const { url } = await storage.url(key)
  const { headers } = await fetched(probes, url, { Origin: origin })
  const allowed = headers.get('access-control-allow-origin')
  const isAllowed = allowed === '*' || allowed === origin
  const exposed = (headers.get('access-control-expose-headers') ?? '').toLowerCase().split(/\s*,\s*/)
  if (isAllowed && (exposed.includes('etag') || exposed.includes('*')))
    return `pages of ${origin} may fetch files, and see their ETag`
  const rule = {
    AllowedOrigins: [origin],
    AllowedMethods: ['GET', 'HEAD'],
    AllowedHeaders: ['Range'],
    ExposeHeaders: ['ETag', 'Content-Length', 'Content-Range', 'Content-Disposition'],
    MaxAgeSeconds: 3600,
  }
  const others = await existingCors(probes)
  return {
    status: isAllowed ? 'warning' : 'problem',
    message: isAllowed
      ? `pages of ${origin} may fetch files, but not see their ETag`
      : `pages of ${origin} may not fetch files: the store does not allow the origin`,
    fix: await awsCommand(
      probes.bucket,
      `put-bucket-cors --cors-configuration ${quoted({ CORSRules: [...others, rule] })}`,
    ),
  }
}

/** The command replaces what is there: it has to have it all. */
async function existingCors({ bucket, signal }: S3Probes): Promise<unknown[]> {
  try {
    const command = new GetBucketCorsCommand({ Bucket: bucket.name })
    return (await bucket.send(command, { operation: 'GetBucketCors', signal })).CORSRules ?? []
  } catch {
    signal.throwIfAborted()
    return []
  }
}

async function checkLifecycle(probes: S3Probes, keyPrefix: string, hasJournal: boolean): Promise<Result> {
  const { bucket } = probes
  let rules: LifecycleRule[] = []
  try {
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket.name })
    rules = (await probes.read(command, 'GetBucketLifecycleConfiguration')).Rules ?? []
  } catch (error) {
    if (s3CodeOf(error) !== 'NoSuchLifecycleConfiguration') return unreadable('lifecycle rules', error)
  }
  const active = rules.filter((rule) => rule.Status === 'Enabled' && covers(rule, keyPrefix))
  const expiring = active.find(({ Expiration }) => Expiration?.Days !== undefined || Expiration?.Date)
  if (expiring !== undefined) {
    return {
      status: 'warning',
      message: `rule '${expiring.ID}' deletes objects by their age: rows that refer to them lose their files`,
      fix: await awsCommand(bucket, 'get-bucket-lifecycle-configuration'),
    }
  }
  const days = active
    .map((rule) => rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation)
    .find((count) => count !== undefined)
  if (days !== undefined) return `a rule aborts multipart uploads that are ${days} days old`
  const rule = {
    ID: 'abort-stale-uploads',
    Status: 'Enabled',
    Filter: { Prefix: keyPrefix },
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
  }
  return {
    status: 'warning',
    message: `no rule aborts stale multipart uploads, whose parts cost storage unseen: ${
      hasJournal
        ? 'a FileJanitor that runs does, but for those whose beginning was never heard of'
        : 'what a process that is killed has begun stays for ever'
    }`,
    fix: await awsCommand(
      bucket,
      `put-bucket-lifecycle-configuration --lifecycle-configuration ${quoted({ Rules: [...rules, rule] })}`,
    ),
  }
}

/** Whether a rule is for all of the storage's keys. One that looks at tags or sizes is not. */
function covers({ Filter, Prefix }: LifecycleRule, keyPrefix: string): boolean {
  const { Prefix: inFilter, ...others } = Filter ?? {}
  if (Object.values(others).some((value) => value !== undefined)) return false
  return keyPrefix.startsWith(inFilter ?? Prefix ?? '')
}

/** Asks for an object as anybody could who knows its key. */
async function checkPublicAccess(probes: S3Probes, storage: FileStorage, key: string): Promise<Result> {
  const { bucket } = probes
  const settings = { expiresInSeconds: 60, windowSeconds: 0, publicBaseUrl: undefined, sign: undefined }
  const signed = await new S3UrlSigner(bucket.client, bucket.name, settings).sign(key)
  const response = await fetched(probes, signed.url.replace(/\?.*$/, ''))
  if (!response.ok) return 'nobody reads an object without a signature'
  if ((await storage.url(key)).expiresAt === null)
    return 'anybody reads an object who knows its key, as urls.publicBaseUrl wants it'
  return {
    status: 'warning',
    message: 'anybody reads an object who knows its key: presigned URLs protect nothing',
    fix: await awsCommand(
      bucket,
      'put-public-access-block --public-access-block-configuration ' +
        'BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true',
    ),
  }
}

async function fetched(
  { signal }: S3Probes,
  url: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const response = await fetch(url, {
    headers,
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(fetchSeconds * 1000)]),
  })
  await response.body?.cancel()
  return response
}

/** A finding for a setting that the store does not tell. */
export function unreadable(what: string, error: unknown): Omit<Finding, 'check'> {
  if (!isDenied(error) && !isUnsupported(error)) throw error
  return { status: 'skipped', message: `${what} cannot be read: ${reasonOf(error)}` }
}
