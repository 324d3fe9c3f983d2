import { addAbortSignal, Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import { ConfigurationError, isS3FileError, StorageError } from '../core/errors.js'
import type {
  DeleteFailure,
  FileStorage,
  ListedObject,
  ListedUpload,
  ObjectParamsOption,
  ObjectStat,
  OpenOptions,
  PutOptions,
  SignedUrl,
  StoredObject,
  UrlOptions,
} from '../core/file-storage.js'
import type { DiagnoseOptions, Finding } from '../core/finding.js'
import { normalizePrefix } from '../core/object-key.js'
import { checkObjectParams } from '../core/object-params.js'
import { checkOptions } from '../core/options.js'
import { urlOptionChecks } from '../core/s3-file.js'
import { S3Bucket } from './s3-bucket.js'
import { createClient } from './s3-client.js'
import { copyInParts, copySource, largestSimpleCopyBytes } from './s3-copy.js'
import { deleteObjects } from './s3-delete-objects.js'
import { diagnoseS3 } from './s3-doctor.js'
import { abortUpload, listUploads } from './s3-multipart-uploads.js'
import { wholeChecksum } from './s3-object.js'
import { s3StorageDefaults } from './s3-storage-defaults.js'
import { checkS3StorageOptions, type S3StorageOptions } from './s3-storage-options.js'
import { S3Upload, type S3UploadSettings } from './s3-upload.js'
import { S3UrlSigner } from './s3-url-signer.js'

/** A bucket of S3, or of a store that speaks its language. */
export class S3Storage implements FileStorage {
  readonly keyPrefix: string
  readonly objectParams?: ObjectParamsOption
  readonly inlineTypes: readonly string[]
  readonly #bucket: S3Bucket
  readonly #settings: S3UploadSettings
  readonly #signer: S3UrlSigner

  /** @throws ConfigurationError `unknown-option`, `invalid-option`. */
  constructor(options: S3StorageOptions) {
    checkS3StorageOptions(options)
    const urls = options.urls ?? {}
    this.keyPrefix = normalizePrefix('S3Storage', options.keyPrefix)
    if (options.objectParams !== undefined) this.objectParams = options.objectParams
    this.inlineTypes = urls.inlineTypes ?? s3StorageDefaults.urls.inlineTypes
    this.#settings = {
      partSizeBytes: options.partSizeBytes ?? s3StorageDefaults.partSizeBytes,
      maxConcurrentParts: options.maxConcurrentParts ?? s3StorageDefaults.maxConcurrentParts,
      equalParts: options.equalParts ?? s3StorageDefaults.equalParts,
      checksum: options.checksum ?? s3StorageDefaults.checksum,
    }
    const client = options.client ?? createClient(options.clientConfig, options.checksum)
    this.#bucket = new S3Bucket(client, options.bucket, {
      requestTimeoutSeconds: options.requestTimeoutSeconds ?? s3StorageDefaults.requestTimeoutSeconds,
      unsignedPayload: options.unsignedPayload ?? s3StorageDefaults.unsignedPayload,
      ownsClient: options.client === undefined,
    })
    this.#signer = new S3UrlSigner(client, options.bucket, {
      expiresInSeconds: urls.expiresInSeconds ?? s3StorageDefaults.urls.expiresInSeconds,
      windowSeconds: urls.windowSeconds ?? s3StorageDefaults.urls.windowSeconds,
      publicBaseUrl: urls.publicBaseUrl,
      sign: urls.sign,
    })
  }

  async put(key: string, body: Readable, options: PutOptions = {}): Promise<StoredObject> {
    this.#assertContained(key)
    checkObjectParams('S3Storage.put params', options.params ?? {})
    await this.#assertChecksumsOff()
    return new S3Upload(this.#bucket, this.#settings, key, options).run(body)
  }

  async open(key: string, { start, end, signal }: OpenOptions = {}): Promise<Readable> {
    const range = start === undefined && end === undefined ? undefined : `bytes=${start ?? 0}-${end ?? ''}`
    try {
      const { Body } = await this.#bucket.send(
        new GetObjectCommand({ Bucket: this.#bucket.name, Key: key, Range: range }),
        { operation: 'GetObject', key, signal },
      )
      const body = Body as Readable
      return signal === undefined ? body : addAbortSignal(signal, body)
    } catch (error) {
      // RFC 9110, 15.5.17: the object is there and has no byte of the range.
      if (isS3FileError(error) && error.context.httpStatus === 416)
        return Readable.from([], { objectMode: false })
      throw error
    }
  }

  async stat(key: string): Promise<ObjectStat | null> {
    try {
      const head = await this.#bucket.send(
        new HeadObjectCommand({ Bucket: this.#bucket.name, Key: key, ChecksumMode: 'ENABLED' }),
        { operation: 'HeadObject', key },
      )
      return {
        size: head.ContentLength ?? 0,
        etag: head.ETag?.replaceAll('"', '') ?? null,
        contentType: head.ContentType ?? null,
        lastModified: head.LastModified ?? null,
        checksum: wholeChecksum(head.ChecksumCRC32),
      }
    } catch (error) {
      if (isS3FileError(error, 'object-not-found')) return null
      throw error
    }
  }

  async delete(key: string): Promise<void> {
    try {
      await this.#bucket.send(new DeleteObjectCommand({ Bucket: this.#bucket.name, Key: key }), {
        operation: 'DeleteObject',
        key,
      })
    } catch (error) {
      // S3 itself answers 204 for a key that is not there, some stores do not.
      if (!isS3FileError(error, 'object-not-found')) throw error
    }
  }

  /**
   * A store that refuses DeleteObjects is asked by DeleteObject. Some do not know it (Google's XML API, 501), some want an
   * MD5 of it that the SDK no longer sends (Alibaba OSS, Dell ECS, 400).
   */
  deleteMany(keys: Iterable<string>): Promise<DeleteFailure[]> {
    return deleteObjects(this.#bucket, [...keys], (key) => this.delete(key))
  }

  async copy(from: string, to: string): Promise<void> {
    this.#assertContained(to)
    const source = await this.stat(from)
    if (source === null)
      throw this.#error('object-not-found', `found no object for a copy of '${from}'`, from)
    if ((await this.stat(to)) !== null)
      throw this.#error('key-taken', `already has an object for '${to}'`, to)
    if (source.size > largestSimpleCopyBytes) {
      await copyInParts(this.#bucket, from, to, source)
      return
    }
    await this.#bucket.send(
      new CopyObjectCommand({
        Bucket: this.#bucket.name,
        Key: to,
        CopySource: copySource(this.#bucket, from),
      }),
      { operation: 'CopyObject', key: to },
    )
  }

  async *list({ prefix, after }: { prefix?: string; after?: string } = {}): AsyncIterable<ListedObject> {
    let token: string | undefined
    do {
      const page = await this.#bucket.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket.name,
          Prefix: prefix ?? this.keyPrefix,
          ContinuationToken: token,
          ...(token === undefined ? { StartAfter: after } : {}),
        }),
        { operation: 'ListObjectsV2' },
      )
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        yield { key: Key as string, size: Size ?? 0, lastModified: LastModified ?? null }
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  listUploads({ prefix = this.keyPrefix }: { prefix?: string } = {}): AsyncIterable<ListedUpload> {
    return listUploads(this.#bucket, prefix)
  }

  abortUpload(key: string, uploadId: string): Promise<void> {
    return abortUpload(this.#bucket, key, uploadId)
  }

  async url(key: string, options: UrlOptions = {}): Promise<SignedUrl> {
    checkOptions('S3Storage.url', options, urlOptionChecks)
    return this.#signer.sign(key, options)
  }

  diagnose(options: DiagnoseOptions): AsyncIterable<Finding> {
    return diagnoseS3({ storage: this, bucket: this.#bucket, settings: this.#settings }, options)
  }

  /** A client of the application's own adds checksums by itself, unless it was told not to. */
  async #assertChecksumsOff(): Promise<void> {
    if (this.#settings.checksum === 'crc32') return
    if ((await this.#bucket.client.config.requestChecksumCalculation()) === 'WHEN_REQUIRED') return
    throw new ConfigurationError(
      'invalid-option',
      "S3Storage: checksum 'none' needs a client with requestChecksumCalculation: 'WHEN_REQUIRED'",
    )
  }

  #assertContained(key: string): void {
    if (!key.startsWith(this.keyPrefix)) {
      throw new ConfigurationError(
        'invalid-key',
        `'${key}' is outside of the storage's prefix '${this.keyPrefix}'`,
      )
    }
  }

  #error(code: 'object-not-found' | 'key-taken', what: string, key: string): StorageError {
    return new StorageError(code, `S3 ${what} in bucket '${this.#bucket.name}'`, {
      context: { bucket: this.#bucket.name, key },
    })
  }
}
