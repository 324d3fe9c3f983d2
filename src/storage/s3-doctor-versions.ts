import {
  type DefaultRetention,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { type Finding, find } from '../core/finding.js'
import { type Result, unreadable } from './s3-doctor-bucket.js'
import { awsCommand, quoted } from './s3-doctor-fixes.js'
import { isDenied, refusalOf, type S3Probes } from './s3-doctor-probes.js'

/**
 * Checks object lock and versioning, which keep what is deleted.
 *
 * @returns why no probe is to be written, or undefined: a doctor that runs in each deployment must leave nothing.
 */
export async function* checkVersions(probes: S3Probes): AsyncGenerator<Finding, string | undefined> {
  const { signal } = probes
  const { retention, isKnown } = await lockOf(probes)
  const keeps = retention === undefined ? undefined : periodOf(retention)
  if (retention !== undefined) yield { check: 'object-lock', ...judgeLock(keeps) }
  let status: string | undefined = 'unknown'
  yield await find('versioning', signal, async () => {
    try {
      const command = new GetBucketVersioningCommand({ Bucket: probes.bucket.name })
      status = (await probes.read(command, 'GetBucketVersioning')).Status
    } catch (error) {
      return unreadable('the state of versioning', error)
    }
    return judgeVersioning(probes, status)
  })
  if (keeps !== undefined) return 'the bucket keeps each new object for a time'
  if (status === undefined) return undefined
  const denied = await denialOf(probes)
  if (denied !== undefined && status !== 'unknown') return denied
  const obstacle = isKnown && status !== 'unknown' ? undefined : await tryOne(probes, denied)
  probes.keepsVersions = obstacle === undefined && denied === undefined
  return obstacle
}

/** Returns the default retention of a bucket with object lock, an empty one where it has none. */
async function lockOf(
  probes: S3Probes,
): Promise<{ retention: DefaultRetention | undefined; isKnown: boolean }> {
  const command = new GetObjectLockConfigurationCommand({ Bucket: probes.bucket.name })
  let retention: DefaultRetention | undefined
  const refusal = await refusalOf(
    probes.read(command, 'GetObjectLockConfiguration').then(({ ObjectLockConfiguration: lock }) => {
      if (lock?.ObjectLockEnabled === 'Enabled') retention = lock.Rule?.DefaultRetention ?? {}
    }),
  )
  return { retention, isKnown: !isDenied(refusal) }
}

function periodOf({ Days, Years, Mode }: DefaultRetention): string | undefined {
  if (Days === undefined && Years === undefined) return undefined
  return `${Days === undefined ? `${Years} years` : `${Days} days`} (${Mode})`
}

function judgeLock(period: string | undefined): Omit<Finding, 'check'> {
  if (period === undefined) {
    return { status: 'ok', message: 'object lock is on, without a default retention: objects can be deleted' }
  }
  return {
    status: 'warning',
    message: `object lock keeps each new object for ${period}: the object of a removed file stays, and costs, until then`,
    fix: 'Use a bucket without a default retention. To check the store, run doctor on a bucket of it without one.',
  }
}

async function judgeVersioning({ bucket }: S3Probes, status: string | undefined): Promise<Result> {
  if (status !== 'Enabled') return 'the bucket keeps no versions: what is deleted is gone'
  const rule = {
    ID: 'expire-deleted-files',
    Status: 'Enabled',
    Filter: { Prefix: '' },
    NoncurrentVersionExpiration: { NoncurrentDays: 30 },
    Expiration: { ExpiredObjectDeleteMarker: true },
  }
  return {
    status: 'warning',
    message:
      'the bucket keeps versions: the object of a removed file stays, and costs, until a rule expires its versions',
    fix: `Beside the rules that there are: ${await awsCommand(
      bucket,
      `put-bucket-lifecycle-configuration --lifecycle-configuration ${quoted({ Rules: [rule] })}`,
    )}`,
  }
}

/** Asks for the rights to delete versions without writing one. */
async function denialOf(probes: S3Probes): Promise<string | undefined> {
  const key = probes.key('version')
  const refusal =
    (await refusalOf(probes.listVersions())) ??
    // The version of an object without versions: there is none, and none comes of it.
    (await refusalOf(probes.delete(key, 'null')))
  return isDenied(refusal) ? 'the credentials may not list and delete versions' : undefined
}

/** Writes one probe, where only that tells whether it can be deleted for good. */
async function tryOne(probes: S3Probes, denied: string | undefined): Promise<string | undefined> {
  const key = probes.key('version')
  const put = new PutObjectCommand({ Bucket: probes.bucket.name, Key: key, Body: 'probe' })
  let version: string | undefined
  const refusal = await refusalOf(
    probes.write(put, 'PutObject', key).then(({ VersionId }) => {
      version = VersionId
    }),
  )
  if (refusal !== undefined || version === undefined || version === 'null') return undefined
  if ((await refusalOf(probes.delete(key, version))) !== undefined) {
    return `the bucket keeps versions, and the credentials may not delete them; version ${version} of '${key}' stays`
  }
  return denied
}
