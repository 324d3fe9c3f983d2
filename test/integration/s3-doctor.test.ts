import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketCorsCommand,
  DeleteBucketLifecycleCommand,
  type LifecycleRule,
  ListObjectVersionsCommand,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { checkContract } from '../../src/cli/doctor-contract.ts'
import type { DiagnoseOptions, Finding } from '../../src/core/finding.ts'
import type { S3Storage } from '../../src/storage/s3-storage.ts'
import type { S3StorageOptions } from '../../src/storage/s3-storage-options.ts'
import { S3World } from '../support/s3-world.ts'
import { s3ClientConfig } from '../support/servers.ts'

let world: S3World
const { kind, bucket, accessKeyId } = inject('servers').s3

beforeAll(async () => {
  world = await S3World.start()
})
afterAll(() => world.stop())
afterEach(() => world.clear())

type Found = Record<string, Finding>

async function diagnose(storage: S3Storage, options: Partial<DiagnoseOptions> = {}): Promise<Found> {
  const probePrefix = `${storage.keyPrefix}probe/`
  const { signal } = new AbortController()
  const contract = () => checkContract(storage, { probePrefix, signal })
  const given = { probePrefix, contract, origin: undefined, hasJournal: false, signal, ...options }
  const found: Found = {}
  for await (const finding of storage.diagnose(given)) found[finding.check] = finding
  return found
}

/** A storage with a client of its own. */
function storageWith(config: Partial<S3ClientConfig>, options: Partial<S3StorageOptions> = {}): S3Storage {
  const clientConfig = {
    ...s3ClientConfig(inject('servers').s3, world.proxy.endpoint),
    maxAttempts: 1,
    ...config,
  }
  return world.newStorage({ clientConfig, ...options })
}

/** What a command would set. */
const settingIn = (finding: Finding | undefined) =>
  JSON.parse(/-configuration '(.*)'$/.exec(finding?.fix ?? '')?.[1] as string)

async function expectNothingLeft(): Promise<void> {
  expect(await world.keys()).toEqual([])
  expect(await world.openUploads()).toEqual([])
}

describe("an S3 storage's own checks", { timeout: 120_000 }, () => {
  it('say that a store refuses DeleteObjects, and delete their probes all the same', async () => {
    const storage = world.newStorage()
    world.proxy.inject({ on: 'DeleteObjects', kind: 'notImplemented', times: 1000 })
    const found = await diagnose(storage)
    expect(found['delete-objects']).toMatchObject({
      status: 'warning',
      message: 'the store refuses DeleteObjects: objects are deleted one by one, a request for each',
    })
    expect(found['delete-many']).toMatchObject({ status: 'ok' })
    await expectNothingLeft()
  })

  // The embedded server takes the request for one that deletes the bucket.
  it.skipIf(kind === 'embedded')(
    'give the command that lets pages fetch files, and with it they may',
    async () => {
      const origin = 'https://app.example.com'
      const { cors: before } = await diagnose(world.storage, { origin })
      expect(before).toMatchObject({
        status: 'problem',
        fix: expect.stringMatching(
          `^aws s3api put-bucket-cors --bucket ${bucket} --endpoint-url ${world.proxy.endpoint} --cors-configuration '`,
        ),
      })
      const rules = settingIn(before)
      const set = (CORSConfiguration: typeof rules) =>
        world.client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration }))
      try {
        await set(rules)
        expect((await diagnose(world.storage, { origin })).cors).toMatchObject({ status: 'ok' })
        const other = await diagnose(world.storage, { origin: 'https://other.example.com' })
        expect(settingIn(other.cors).CORSRules).toHaveLength(2)
        await set({ CORSRules: [{ ...rules.CORSRules[0], ExposeHeaders: [] }] })
        // versitygw exposes the ETag whatever the rule says.
        const hidden = kind === 'versitygw' ? 'and see their ETag' : 'but not see their ETag'
        expect((await diagnose(world.storage, { origin })).cors?.message).toContain(hidden)
      } finally {
        await world.client.send(new DeleteBucketCorsCommand({ Bucket: bucket }))
      }
    },
  )

  // versitygw has no lifecycle rules.
  it.skipIf(kind === 'versitygw')(
    'give the command for stale uploads, see its rule, and one that deletes files',
    async () => {
      const { lifecycle: before } = await diagnose(world.storage)
      expect(before).toMatchObject({ status: 'warning', message: expect.stringContaining('stays for ever') })
      expect((await diagnose(world.storage, { hasJournal: true })).lifecycle?.message).toContain(
        'FileJanitor',
      )
      const { Rules } = settingIn(before) as { Rules: [LifecycleRule] }
      const lifecycleWith = async (...rules: LifecycleRule[]) => {
        const LifecycleConfiguration = { Rules: rules }
        await world.client.send(
          new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration }),
        )
        return (await diagnose(world.storage)).lifecycle
      }
      try {
        expect(await lifecycleWith(...Rules)).toMatchObject({
          status: 'ok',
          message: 'a rule aborts multipart uploads that are 2 days old',
        })
        const gone: LifecycleRule = {
          ID: 'gone',
          Status: 'Enabled',
          Filter: { Prefix: '' },
          Expiration: { Days: 300 },
        }
        expect((await lifecycleWith(gone))?.message).toContain("rule 'gone' deletes objects by their age")
        const elsewhere = await lifecycleWith({ ...Rules[0], Filter: { Prefix: 'elsewhere/' } })
        expect(elsewhere?.status).toBe('warning')
        expect(settingIn(elsewhere).Rules).toHaveLength(2)
      } finally {
        await world.client.send(new DeleteBucketLifecycleCommand({ Bucket: bucket }))
      }
    },
  )

  it.runIf(kind === 'ceph')('tell of versions, and leave none', async () => {
    const Bucket = `versions-${world.prefix.slice(5, -1)}`
    await world.client.send(new CreateBucketCommand({ Bucket }))
    try {
      const VersioningConfiguration = { Status: 'Enabled' as const }
      await world.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
      const { versioning, ...others } = await diagnose(world.newStorage({ bucket: Bucket }))
      expect(versioning).toMatchObject({
        status: 'warning',
        fix: expect.stringContaining('NoncurrentVersionExpiration'),
      })
      expect(others['clean-up']).toBeUndefined()
      const { Versions, DeleteMarkers } = await world.client.send(new ListObjectVersionsCommand({ Bucket }))
      expect([...(Versions ?? []), ...(DeleteMarkers ?? [])]).toEqual([])
    } finally {
      await world.client.send(new DeleteBucketCommand({ Bucket }))
    }
  })

  it.runIf(kind === 'ceph').each([
    ['with a default retention', { Mode: 'GOVERNANCE' as const, Days: 1 }, 'warning', 'skipped'],
    ['without a default retention', undefined, 'ok', undefined],
  ])(
    'leave nothing in a bucket with object lock %s, and find no problem',
    async (_how, retention, lock, store) => {
      const Bucket = `locked-${world.prefix.slice(5, -1)}-${lock}`
      await world.client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }))
      try {
        if (retention !== undefined) {
          const Rule = { DefaultRetention: retention }
          const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled' as const, Rule }
          await world.client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }))
        }
        const found = await diagnose(world.newStorage({ bucket: Bucket }))
        expect([found['object-lock']?.status, found.store?.status]).toEqual([lock, store])
        expect(Object.values(found).filter(({ status }) => status === 'problem')).toEqual([])
        const { Versions, DeleteMarkers } = await world.client.send(new ListObjectVersionsCommand({ Bucket }))
        expect([...(Versions ?? []), ...(DeleteMarkers ?? [])]).toEqual([])
      } finally {
        await world.client.send(new DeleteBucketCommand({ Bucket }))
      }
    },
  )

  it("compare what the store makes of checksums with the storage's own setting", async () => {
    const requestChecksumCalculation = 'WHEN_REQUIRED'
    const found = await diagnose(storageWith({ requestChecksumCalculation }, { checksum: 'none' }))
    for (const check of ['checksum-put', 'checksum-part', 'checksum-object']) {
      const expected = kind === 'versitygw' ? ['warning', "take out checksum: 'none'"] : ['ok', undefined]
      expect([found[check]?.status, found[check]?.fix]).toEqual(expected)
    }
    expect(found.multipart?.status).toBe('ok')
    await expectNothingLeft()
  })

  it('tell when the part memory is less than one upload takes', async () => {
    const large = world.newStorage({ partSizeBytes: 64 * 1024 * 1024 })
    expect((await diagnose(large))['part-memory']).toMatchObject({
      status: 'warning',
      fix: expect.stringContaining('setPartMemoryLimit(268435456)'),
    })
  })

  it('tell that there is no such bucket, and how to make it', async () => {
    const { bucket: found, store, ...others } = await diagnose(world.newStorage({ bucket: 'nowhere' }))
    expect(found).toMatchObject({
      status: 'problem',
      message: "there is no bucket 'nowhere'",
      fix: expect.stringContaining('aws s3api create-bucket --bucket nowhere'),
    })
    expect(store?.status).toBe('skipped')
    expect(Object.keys(others)).toEqual(['part-memory', 'credentials', 'clock'])
  })

  it.skipIf(kind === 'embedded')(
    'tell that the secret is not the right one, and do not tell it',
    async () => {
      const credentials = { accessKeyId, secretAccessKey: 'another-secret' }
      const found = await diagnose(storageWith({ credentials }))
      expect(found.bucket).toMatchObject({
        status: 'problem',
        message: expect.stringContaining('SignatureDoesNotMatch'),
        fix: expect.stringContaining('secret'),
      })
      expect(JSON.stringify(found)).not.toContain('another-secret')
    },
  )

  it.runIf(kind === 'versitygw')('tell the right region as the store has it', async () => {
    expect((await diagnose(storageWith({ region: 'eu-central-1' }))).bucket).toMatchObject({
      message: expect.stringContaining('is in region us-east-1'),
      fix: expect.stringContaining("region: 'us-east-1'"),
    })
  })

  it('tell what the credentials must be allowed', async () => {
    world.proxy.inject({ on: 'PutObject', kind: 'accessDenied', times: 100 })
    const { put, ...others } = await diagnose(world.storage)
    expect(put).toMatchObject({ status: 'problem', fix: expect.stringContaining('s3:PutObject') })
    expect(put?.fix).toContain(`arn:aws:s3:::${bucket}/${world.prefix}*`)
    expect(others['public-access']?.status).toBe('skipped')
    await expectNothingLeft()
  })

  it('clean up an upload whose beginning was never heard of', async () => {
    world.proxy.inject({ on: 'CreateMultipartUpload', kind: 'lostResponse' })
    const { multipart, ...others } = await diagnose(storageWith({}))
    expect(multipart?.status).toBe('problem')
    expect(others['clean-up']).toBeUndefined()
    // The embedded server lists no uploads: this one is for a lifecycle rule.
    if (kind === 'embedded') expect(await world.keys()).toEqual([])
    else await expectNothingLeft()
  })

  it('delete a copy whose answer was lost', async () => {
    world.proxy.inject({ on: 'CopyObject', kind: 'lostResponse' })
    expect((await diagnose(storageWith({}))).copy?.status).toBe('problem')
    await expectNothingLeft()
  })

  it('name no probe as left that was never written', async () => {
    for (const on of ['PutObject', 'CreateMultipartUpload', 'CopyObject', 'DeleteObject'] as const) {
      world.proxy.inject({ on, kind: 'accessDenied', times: 100 })
    }
    const { put, ...others } = await diagnose(world.storage)
    expect(put?.status).toBe('problem')
    expect(others['clean-up']).toBeUndefined()
  })

  it('say what could not be aborted', async () => {
    world.proxy.inject({ on: 'AbortMultipartUpload', kind: 'accessDenied', times: 1000 })
    const found = await diagnose(storageWith({}))
    expect(found.multipart?.status).toBe('problem')
    expect(found['clean-up']).toMatchObject({
      status: 'problem',
      message: expect.stringMatching(/could not clean up: multipart upload .+ of '.+probe\/aborted'/),
    })
  })
})

describe('the checks of a store that answers oddly', () => {
  let server: Server | undefined
  afterEach(() => new Promise((resolve) => (server === undefined ? resolve(0) : server.close(resolve))))

  async function storageAt(answer: RequestListener): Promise<S3Storage> {
    server = createServer(answer)
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
    return storageWith({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  }

  const xml: Record<string, string> = {
    lock: '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>',
    unlocked: '<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>',
    versioned: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    denied: '<Error><Code>AccessDenied</Code></Error>',
    none: '<ListVersionsResult></ListVersionsResult>',
  }

  /** A bucket that keeps versions; `says` are its answers by the name of the setting, of `xml`. */
  async function bucketThat(says: Record<'object-lock' | 'versioning' | 'versions', keyof typeof xml>) {
    const sent: string[] = []
    const storage = await storageAt((request, response) => {
      const url = new URL(request.url as string, 'http://s3')
      const answer = (status: number, body = '', headers = {}) =>
        request.resume().on('end', () => response.writeHead(status, headers).end(body))
      const asked = Object.entries(says).find(([name]) => url.searchParams.has(name))
      if (asked !== undefined) {
        const [, word] = asked
        answer(word === 'denied' ? 403 : word === 'unlocked' ? 404 : 200, xml[word])
        return
      }
      const version = url.searchParams.get('versionId')
      if (request.method === 'HEAD') answer(200, '', { etag: '"e"', 'content-length': '0' })
      else if (request.method === 'GET')
        answer(404, '<Error><Code>NoSuchLifecycleConfiguration</Code></Error>')
      else {
        sent.push(`${request.method} ${version ?? ''}`.trim())
        if (request.method === 'PUT') answer(200, '', { etag: '"e"', 'x-amz-version-id': 'v1' })
        else answer(version === null ? 204 : 403, version === null ? '' : xml.denied)
      }
    })
    return { sent, storage }
  }

  it.each([
    [
      'keeps each new object for a time',
      { 'object-lock': 'lock', versioning: 'versioned', versions: 'none' },
      'object lock keeps each new object for 30 days (COMPLIANCE)',
      [],
    ],
    [
      'keeps versions that the credentials may not list',
      { 'object-lock': 'unlocked', versioning: 'versioned', versions: 'denied' },
      'the bucket keeps versions',
      [],
    ],
    [
      'keeps versions that the credentials may not delete',
      { 'object-lock': 'unlocked', versioning: 'versioned', versions: 'none' },
      'the bucket keeps versions',
      ['DELETE null'],
    ],
  ] as const)(
    'write no probe, and find no problem, where a bucket %s',
    async (_what, says, message, requests) => {
      const { sent, storage } = await bucketThat(says)
      const found = await diagnose(storage)
      expect(sent).toEqual(requests)
      expect((found['object-lock'] ?? found.versioning)?.message).toContain(message)
      expect(found.store).toMatchObject({
        status: 'skipped',
        message: expect.stringContaining('no probe could be deleted'),
        fix: expect.stringContaining('s3:DeleteObjectVersion'),
      })
      expect(Object.values(found).filter(({ status }) => status === 'problem')).toEqual([])
    },
  )

  it('write one probe where only that tells of versions, and name the version that stays', async () => {
    const { sent, storage } = await bucketThat({
      'object-lock': 'denied',
      versioning: 'denied',
      versions: 'denied',
    })
    const found = await diagnose(storage)
    expect(sent).toEqual(['PUT', 'DELETE v1', 'DELETE'])
    expect(found.store?.message).toMatch(/version v1 of '\S+' stays$/)
  })

  it('tell the region that a redirect names', async () => {
    const storage = await storageAt((_request, response) => {
      response.writeHead(301, { 'x-amz-bucket-region': 'ap-south-1', connection: 'close' }).end()
    })
    expect((await diagnose(storage)).bucket).toMatchObject({
      status: 'problem',
      message: `'${bucket}' is in region ap-south-1, and the client is made for us-east-1`,
      fix: expect.stringContaining("region: 'ap-south-1'"),
    })
  })

  it.each([
    [100, 'warning', 'behind'],
    [-100, 'warning', 'ahead of'],
    [3600, 'problem', 'behind'],
  ])('tell of a clock that is %i seconds off', async (seconds, status, direction) => {
    const storage = await storageAt((_request, response) => {
      const date = new Date(Date.now() + seconds * 1000).toUTCString()
      response.writeHead(403, { date, connection: 'close' }).end()
    })
    const { clock, bucket: found } = await diagnose(storage)
    expect(clock).toMatchObject({
      status,
      message: expect.stringContaining(`seconds ${direction} the store's`),
    })
    expect(found?.status).toBe('problem')
  })
})
