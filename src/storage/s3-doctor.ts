import { HeadBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import { formatBytes } from '../core/bytes.js'
import { isS3FileError } from '../core/errors.js'
import type { FileStorage } from '../core/file-storage.js'
import { cleanUpFinding, type DiagnoseOptions, type Finding, find, reasonOf } from '../core/finding.js'
import { partMemory } from './part-memory.js'
import type { S3Bucket } from './s3-bucket.js'
import { doctorHint } from './s3-cures.js'
import { checkBucketSettings } from './s3-doctor-bucket.js'
import { awsCommand, policyFor } from './s3-doctor-fixes.js'
import { isDenied, S3Probes, s3CodeOf, statusOf } from './s3-doctor-probes.js'
import { checkVersions } from './s3-doctor-versions.js'
import { checkWrites } from './s3-doctor-writes.js'
import type { S3UploadSettings } from './s3-upload.js'

/** The storage as its doctor sees it. */
export interface S3Patient {
  storage: FileStorage
  bucket: S3Bucket
  settings: S3UploadSettings
}

/** Checks what a bucket and its store can do, with probes that it deletes again. */
export async function* diagnoseS3(patient: S3Patient, options: DiagnoseOptions): AsyncIterable<Finding> {
  for await (const finding of check(patient, options)) {
    yield { ...finding, message: finding.message.replaceAll(doctorHint, '') }
  }
}

async function* check(patient: S3Patient, options: DiagnoseOptions): AsyncIterable<Finding> {
  const { bucket, settings } = patient
  const { signal, probePrefix } = options
  const probes = new S3Probes(bucket, probePrefix, signal)
  yield checkPartMemory(settings)
  const credentials = await find('credentials', signal, () => checkCredentials(bucket))
  yield credentials
  if (credentials.status === 'problem') return yield untried('there are no credentials')
  const { findings, isUsable } = await reach(probes)
  yield* findings
  if (!isUsable) return yield untried('the bucket cannot be used')
  try {
    const obstacle = yield* checkVersions(probes)
    if (obstacle === undefined) {
      for await (const finding of options.contract()) yield withPolicy(finding, patient)
      if (bucket.knowsDeleteObjects === false) yield oneByOne
      for await (const finding of checkWrites(probes, settings.checksum)) yield withPolicy(finding, patient)
    } else {
      yield { ...untried(`no probe could be deleted, since ${obstacle}`), fix: versionsFix }
    }
    yield* checkBucketSettings(probes, patient.storage, { ...options, mayWrite: obstacle === undefined })
  } finally {
    const left = cleanUpFinding(await probes.cleanUp())
    if (left !== undefined) yield left
  }
}

const versionsFix =
  'Run doctor on a bucket without object lock, with credentials that have s3:ListBucketVersions on it and ' +
  's3:DeleteObjectVersion on its objects.'

const oneByOne: Finding = {
  check: 'delete-objects',
  status: 'warning',
  message: 'the store refuses DeleteObjects: objects are deleted one by one, a request for each',
}

function untried(why: string): Finding {
  return { check: 'store', status: 'skipped', message: `nothing else of the store was tried: ${why}` }
}

function checkPartMemory({ partSizeBytes, maxConcurrentParts }: S3UploadSettings): Finding {
  const check = 'part-memory'
  const needed = partSizeBytes * maxConcurrentParts
  const sum = `${maxConcurrentParts} parts of ${formatBytes(partSizeBytes)} for each upload`
  const limit = `${formatBytes(partMemory.limitBytes)} of part memory, as this process has it`
  if (needed <= partMemory.limitBytes) {
    const uploads = Math.floor(partMemory.limitBytes / needed)
    return {
      check,
      status: 'ok',
      message: `${sum}: ${limit}, is enough for ${uploads} at full speed; more take turns`,
    }
  }
  return {
    check,
    status: 'warning',
    message: `${sum} never find room in ${limit}: not even one upload runs at full speed`,
    fix: `setPartMemoryLimit(${needed}), or less of 'partSizeBytes' or 'maxConcurrentParts'`,
  }
}

/** Where the SDK has found credentials, by the letters that it marks them with. */
const sourceByFeature: Record<string, string> = {
  e: "the client's own configuration",
  g: 'the environment (AWS_ACCESS_KEY_ID)',
  h: 'a web identity token named by the environment',
  i: 'an assumed role',
  k: 'a role assumed with a web identity',
  n: 'a profile of the shared files',
  o: 'a profile with a source profile',
  p: "a profile's credential_source",
  q: "a profile's web identity token",
  r: "a profile's single sign-on",
  s: 'single sign-on',
  t: "a profile's single sign-on",
  u: 'single sign-on',
  v: "a profile's credential_process",
  w: 'a credential process',
  z: 'the container (ECS, EKS)',
  '0': "the instance's role (EC2)",
  AC: "a profile's login",
  AD: "the command line's login",
}

async function checkCredentials(bucket: S3Bucket): Promise<string | Omit<Finding, 'check'>> {
  try {
    const { expiration, ...rest } = await bucket.client.config.credentials()
    const features = Object.values((rest as { $source?: Record<string, string> }).$source ?? {})
    const found = features.map((feature) => sourceByFeature[feature]).filter((text) => text !== undefined)
    const source = found.length === 0 ? 'a provider of your own' : found.join(', ')
    const end =
      expiration === undefined ? '' : `; they end at ${expiration.toISOString()}, and URLs with them`
    return `come from ${source}${end}`
  } catch (error) {
    return {
      status: 'problem',
      message: `there are none: ${reasonOf(error)}`,
      fix:
        'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile by AWS_PROFILE, give the machine a role, or give ' +
        'S3Storage clientConfig: { credentials }. `aws sts get-caller-identity` says whom the environment stands for.',
    }
  }
}

/** Whether the bucket answers, in what region it is, and what time the store has. */
async function reach(probes: S3Probes): Promise<{ findings: Finding[]; isUsable: boolean }> {
  const { bucket, signal } = probes
  const head = new HeadBucketCommand({ Bucket: bucket.name })
  let answer: Answer | undefined
  head.middlewareStack.add(
    (next) => async (args) => {
      const sentAt = Date.now()
      const result = await next(args)
      const { headers } = result.response as { headers: Record<string, string> }
      answer = { headers, sentAt, at: Date.now() }
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'seeAnswer' },
  )
  let isUsable = true
  const reached = await find('bucket', signal, async () => {
    const configured = await bucket.client.config.region().catch(() => '')
    try {
      await probes.read(head, 'HeadBucket')
    } catch (failure) {
      // The answer of HEAD has no body that could say what is wrong.
      const error = await askAgain(probes).catch((told: unknown) => told ?? failure)
      isUsable = error === undefined || s3CodeOf(error) === 'AccessDenied'
      const actual = answer?.headers['x-amz-bucket-region'] ?? regionOf(error)
      return judgeRefusal(bucket, error ?? failure, { configured, actual })
    }
    const actual = answer?.headers['x-amz-bucket-region']
    return `'${bucket.name}' answers, in region ${actual ?? `${configured}, as configured`}`
  })
  return { findings: answer === undefined ? [reached] : [reached, clockFinding(answer)], isUsable }
}

interface Answer {
  headers: Record<string, string>
  /** When the request left, and when the answer came, in milliseconds. */
  sentAt: number
  at: number
}

async function askAgain({ bucket, prefix, signal }: S3Probes): Promise<undefined> {
  const command = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: prefix, MaxKeys: 1 })
  await bucket.send(command, { operation: 'ListObjectsV2', signal })
}

function regionOf(error: unknown): string | undefined {
  return isS3FileError(error) ? (error.context.region as string | undefined) : undefined
}

async function judgeRefusal(
  bucket: S3Bucket,
  error: unknown,
  { configured, actual }: { configured: string; actual: string | undefined },
): Promise<Omit<Finding, 'check'>> {
  const status = 'problem'
  const message = reasonOf(error)
  const code = s3CodeOf(error)
  if (actual !== undefined && actual !== configured) {
    return {
      status,
      message: `'${bucket.name}' is in region ${actual}, and the client is made for ${configured}`,
      fix: `new S3Storage({ bucket: '${bucket.name}', clientConfig: { region: '${actual}' } })`,
    }
  }
  if (code === 'NoSuchBucket' || (code === 'NotFound' && statusOf(error) === 404)) {
    const location =
      configured === 'us-east-1'
        ? ''
        : ` --create-bucket-configuration '{"LocationConstraint":"${configured}"}'`
    return {
      status,
      message: `there is no bucket '${bucket.name}'`,
      fix: await awsCommand(bucket, `create-bucket${location}`),
    }
  }
  if (code === 'InvalidAccessKeyId' || code === 'SignatureDoesNotMatch') {
    return {
      status,
      message,
      fix: "The store does not know the access key, or the secret is not that key's: give others, or the right endpoint.",
    }
  }
  if (code === 'RequestTimeTooSkewed') {
    return { status, message, fix: 'Set the clock: timedatectl set-ntp true' }
  }
  if (isDenied(error)) return { status, message, fix: policyFor(bucket.name, '') }
  return {
    status,
    message,
    fix: "Look at 'endpoint', 'region' and 'forcePathStyle' of clientConfig, and whether this machine gets through to the store.",
  }
}

/** Amazon S3 refuses what is more than 15 minutes off; URLs begin late, or end early, by as much as the clock is off. */
function clockFinding({ headers, sentAt, at }: Answer): Finding {
  const check = 'clock'
  const there = Date.parse(headers.date ?? '')
  if (Number.isNaN(there))
    return { check, status: 'skipped', message: 'the store does not say what time it has' }
  // The header counts in whole seconds; nothing is made of what the request itself took.
  const ahead = Math.floor((sentAt - (there + 1000)) / 1000)
  const behind = Math.floor((there - at) / 1000)
  const seconds = Math.max(ahead, behind)
  if (seconds < 30) return { check, status: 'ok', message: "this machine's clock and the store's agree" }
  const [direction, consequence] = ahead > 0 ? ['ahead of', 'begin too late'] : ['behind', 'end too early']
  return {
    check,
    status: seconds < 900 ? 'warning' : 'problem',
    message: `this machine's clock is ${seconds} seconds ${direction} the store's: presigned URLs ${consequence}`,
    fix: 'timedatectl set-ntp true',
  }
}

function withPolicy(finding: Finding, { bucket, storage }: S3Patient): Finding {
  if (finding.status !== 'problem' || finding.fix !== undefined) return finding
  return /\(403\)|AccessDenied/.test(finding.message)
    ? { ...finding, fix: policyFor(bucket.name, storage.keyPrefix) }
    : finding
}
