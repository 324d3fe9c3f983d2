import { crc32 } from 'node:zlib'
import {
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { type Finding, find } from '../core/finding.js'
import { encodeCrc32 } from './crc32.js'
import { isUnsupported, refusalOf, type S3Probes } from './s3-doctor-probes.js'
import {
  judgeChecksum,
  judgeCondition,
  judgeRefusedCondition,
  type Verdict,
  verdictOf,
} from './s3-doctor-verdicts.js'
import { abortUpload } from './s3-multipart-uploads.js'
import { wholeChecksum } from './s3-object.js'

const body = Buffer.from('a probe of typeorm-s3-file doctor')
const right = encodeCrc32(crc32(body))
const wrong = encodeCrc32(crc32(body) ^ 1)

const whole = (ChecksumCRC32: string) => ({
  ChecksumCRC32,
  ChecksumType: 'FULL_OBJECT' as const,
  MpuObjectSize: body.length,
})

/** Multipart uploads, checksums, and the condition that no object is overwritten. */
export async function* checkWrites(probes: S3Probes, checksum: 'crc32' | 'none'): AsyncIterable<Finding> {
  const { signal } = probes
  const writes = new Writes(probes, checksum)
  yield await find('multipart', signal, () => writes.multipart())
  yield await find('list-uploads', signal, () => writes.listUploads())
  for (const [check, what, probe] of [
    ['checksum-put', 'a PutObject', () => writes.putChecksum()],
    ['checksum-part', 'a part', () => writes.partChecksum()],
    ['checksum-object', 'the whole of a multipart upload', () => writes.objectChecksum()],
  ] as const) {
    yield await find(check, signal, async () => judgeChecksum(what, await probe(), checksum))
  }
  yield await find('if-none-match-put', signal, () => writes.conditionOnPut())
  yield await find('if-none-match-complete', signal, () => writes.conditionOnComplete())
}

class Writes {
  readonly #probes: S3Probes
  readonly #created: { ChecksumAlgorithm?: 'CRC32'; ChecksumType?: 'FULL_OBJECT' }

  constructor(probes: S3Probes, checksum: 'crc32' | 'none') {
    this.#probes = probes
    this.#created = checksum === 'crc32' ? withChecksum : {}
  }

  async multipart(): Promise<string | Omit<Finding, 'check'>> {
    const key = this.#probes.key('multipart')
    const id = await this.#probes.createUpload(key, this.#created)
    const ETag = await this.#part(key, id)
    await this.#complete(key, id, ETag)
    const { ContentLength } = await this.#head(key)
    if (ContentLength !== body.length) {
      return { status: 'problem', message: `made an object of ${ContentLength} bytes of ${body.length}` }
    }
    const aborted = this.#probes.key('aborted')
    const abortedId = await this.#probes.createUpload(aborted, this.#created)
    await this.#part(aborted, abortedId)
    await abortUpload(this.#probes.bucket, aborted, abortedId)
    // Not a completion: Ceph takes that for one that is going on already.
    return (await refusalOf(this.#part(aborted, abortedId))) === undefined
      ? { status: 'problem', message: 'a multipart upload that was aborted takes parts still' }
      : 'a multipart upload can be completed, and aborted'
  }

  async listUploads(): Promise<string | Omit<Finding, 'check'>> {
    const key = this.#probes.key('listed')
    const id = await this.#probes.createUpload(key, this.#created)
    const consequence =
      'reconcile finds no stale ones, so that the journal or a lifecycle rule has to see to them'
    try {
      if (!(await this.#probes.listUploads()).includes(id)) {
        return { status: 'warning', message: `does not list multipart uploads: ${consequence}` }
      }
    } catch (error) {
      if (!isUnsupported(error)) throw error
      return { status: 'warning', message: `cannot list multipart uploads: ${consequence}` }
    }
    await abortUpload(this.#probes.bucket, key, id)
    return (await this.#probes.listUploads()).includes(id)
      ? { status: 'warning', message: 'lists a multipart upload still that was aborted' }
      : 'lists the multipart uploads that are open'
  }

  async putChecksum(): Promise<Verdict> {
    const key = this.#probes.key('checksum')
    if ((await refusalOf(this.#put(key, { ChecksumCRC32: right }))) !== undefined) return 'refused'
    const kept = (await this.#head(key)).ChecksumCRC32 === right
    const damaged = this.#put(this.#probes.key('damaged'), { ChecksumCRC32: wrong })
    return verdictOf(await refusalOf(damaged), kept)
  }

  async partChecksum(): Promise<Verdict> {
    const key = this.#probes.key('checksum-part')
    const create = this.#probes.createUpload(key, withChecksum)
    if ((await refusalOf(create)) !== undefined) return 'refused'
    const id = await create
    if ((await refusalOf(this.#part(key, id, right))) !== undefined) return 'refused'
    return verdictOf(await refusalOf(this.#part(key, id, wrong, 2)), false)
  }

  async objectChecksum(): Promise<Verdict> {
    const key = this.#probes.key('checksum-object')
    const complete = async (crc: string) => {
      const id = await this.#probes.createUpload(key, withChecksum)
      return this.#complete(key, id, await this.#part(key, id, right), {
        ...whole(crc),
      })
    }
    if ((await refusalOf(complete(right))) !== undefined) return 'refused'
    const kept = wholeChecksum((await this.#head(key)).ChecksumCRC32) === `crc32:${right}`
    return verdictOf(await refusalOf(complete(wrong)), kept)
  }

  async conditionOnPut(): Promise<string | Omit<Finding, 'check'>> {
    const key = this.#probes.key('taken')
    const free = await refusalOf(this.#put(key, { IfNoneMatch: '*' }))
    if (free !== undefined) return judgeRefusedCondition('PutObject', free)
    return judgeCondition('PutObject', await refusalOf(this.#put(key, { IfNoneMatch: '*' })))
  }

  async conditionOnComplete(): Promise<string | Omit<Finding, 'check'>> {
    const key = this.#probes.key('taken-multipart')
    const complete = async () => {
      const id = await this.#probes.createUpload(key, this.#created)
      return this.#complete(key, id, await this.#part(key, id), { IfNoneMatch: '*' })
    }
    const free = await refusalOf(complete())
    if (free !== undefined) return judgeRefusedCondition('CompleteMultipartUpload', free)
    return judgeCondition('CompleteMultipartUpload', await refusalOf(complete()))
  }

  #put(Key: string, input: { ChecksumCRC32?: string; IfNoneMatch?: '*' }): Promise<unknown> {
    const target = { Bucket: this.#probes.bucket.name, Key, Body: body, ContentLength: body.length }
    return this.#probes.write(
      new PutObjectCommand({ ...target, ...this.#checksum(), ...input }),
      'PutObject',
      Key,
    )
  }

  async #part(Key: string, UploadId: string, crc = this.#checksum().ChecksumCRC32, PartNumber = 1) {
    const { ETag } = await this.#probes.bucket.send(
      new UploadPartCommand({
        Bucket: this.#probes.bucket.name,
        Key,
        UploadId,
        PartNumber,
        Body: body,
        ContentLength: body.length,
        ChecksumCRC32: crc,
      }),
      { operation: 'UploadPart', key: Key },
    )
    return ETag
  }

  #complete(
    Key: string,
    UploadId: string,
    ETag: string | undefined,
    more: Partial<CompleteMultipartUploadCommandInput> = {},
  ): Promise<unknown> {
    const { ChecksumCRC32 } = more.ChecksumCRC32 === undefined ? this.#checksum() : { ChecksumCRC32: right }
    return this.#probes.write(
      new CompleteMultipartUploadCommand({
        Bucket: this.#probes.bucket.name,
        Key,
        UploadId,
        ...(ChecksumCRC32 === undefined ? {} : whole(ChecksumCRC32)),
        ...more,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] },
      }),
      'CompleteMultipartUpload',
      Key,
    )
  }

  /** As the storage sends it. */
  #checksum(): { ChecksumCRC32?: string } {
    return this.#created === withChecksum ? { ChecksumCRC32: right } : {}
  }

  #head(Key: string) {
    const command = new HeadObjectCommand({
      Bucket: this.#probes.bucket.name,
      Key,
      ChecksumMode: 'ENABLED',
    })
    return this.#probes.read(command, 'HeadObject', Key)
  }
}

const withChecksum = { ChecksumAlgorithm: 'CRC32' as const, ChecksumType: 'FULL_OBJECT' as const }
