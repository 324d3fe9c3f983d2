import { addAbortSignal, type Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type S3Client,
  type S3ClientConfig,
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
import { inlineTypesProblem } from '../core/inline-types.js'
import { normalizePrefix } from '../core/object-key.js'
import { checkObjectParams } from '../core/object-params.js'
import { checkOptions, option } from '../core/options.js'
import { maxUrlSeconds, urlOptionChecks } from '../core/s3-file.js'
import { maxPartBytes, minPartBytes } from './part-plan.js'
import { S3Bucket } from './s3-bucket.js'
import { createClient } from './s3-client.js'
import { copyInParts, copySource, largestSimpleCopyBytes } from './s3-copy.js'
import { deleteObjects } from './s3-delete-objects.js'
import { diagnoseS3 } from './s3-doctor.js'
import { abortUpload, listUploads } from './s3-multipart-uploads.js'
import { wholeChecksum } from './s3-object.js'
import { s3StorageDefaults } from './s3-storage-defaults.js'
import { S3Upload, type S3UploadSettings } from './s3-upload.js'
import { S3UrlSigner, type SignFunction } from './s3-url-signer.js'

/** What an `S3Storage` is made of. */
export interface S3StorageOptions {
  /** The bucket's name. */
  bucket: string
  /** A client that the application has already; otherwise one is made of `clientConfig`. */
  client?: S3Client
  /**
   * Region, endpoint, `forcePathStyle`, credentials and the like. Without credentials the SDK looks for them in its
   * usual places. @default {}
   */
  clientConfig?: S3ClientConfig
  /** What each key written here starts with. @default '' */
  keyPrefix?: string
  /**
   * Size of a part in bytes, 5 MiB to 5 GiB; larger where 10,000 of them would not do, and for a file of up to one and a
   * half, which goes in one request. @default 8_388_608 (8 MiB)
   */
  partSizeBytes?: number
  /** Parts of one upload that are on their way at once, 1 to 100. @default 4 */
  maxConcurrentParts?: number
  /** Keeps all parts but the last at one size, as Cloudflare R2 wants it. @default false */
  equalParts?: boolean
  /**
   * `crc32`: S3 checks each part and the whole object against a CRC-32 of the bytes as they came.
   * `none` for stores that refuse checksums. @default 'crc32'
   */
  checksum?: 'crc32' | 'none'
  /**
   * Where bodies go without a SHA-256 in the request's signature, which costs about a second of CPU per GB: `tls`, over
   * TLS, which protects them, with `checksum: 'crc32'`; `always` also over plain HTTP, for a network you trust, where
   * nothing but the CRC-32 then tells a change. @default 'tls'
   */
  unsignedPayload?: 'tls' | 'always'
  /**
   * The longest that the store may take for a request in seconds, all tries together, 1 to 86,400; for each 64 KiB of a
   * body there is one more. @default 300
   */
  requestTimeoutSeconds?: number
  /** What the store keeps with each object, or a function that says it. */
  objectParams?: ObjectParamsOption
  urls?: {
    /** The life of a URL unless the call says otherwise, 1 to 604,800. @default 900 */
    expiresInSeconds?: number
    /**
     * The time for which a file keeps its URL, 0 to 604,800 and at most half of the URL's life; with 0 each call signs
     * another one. @default 300
     */
    windowSeconds?: number
    /** Serves from here instead of presigning: a public bucket or a CDN. The object's own headers then hold. */
    publicBaseUrl?: string
    /** Signs URLs of `publicBaseUrl`. */
    sign?: SignFunction
    /**
     * Types that are shown in the browser instead of downloaded: images, audio, video, PDF, JSON, plain text; never what
     * it would run. @default ['image/*', 'audio/*', 'video/*']
     */
    inlineTypes?: readonly string[]
  }
}

const checks = {
  bucket: option.string,
  client: option.object,
  clientConfig: option.object,
  keyPrefix: option.text,
  partSizeBytes: option.integer(minPartBytes, maxPartBytes),
  maxConcurrentParts: option.integer(1, 100),
  equalParts: option.boolean,
  checksum: option.oneOf('crc32', 'none'),
  unsignedPayload: option.oneOf('tls', 'always'),
  requestTimeoutSeconds: option.integer(1, 86_400),
  objectParams: option.objectOrFunction,
  urls: option.object,
}

const urlChecks = {
  expiresInSeconds: option.integer(1, maxUrlSeconds),
  windowSeconds: option.integer(0, maxUrlSeconds),
  publicBaseUrl: option.string,
  sign: option.function,
  inlineTypes: inlineTypesProblem,
}

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
    checkOptions('S3Storage', options, checks)
    if (options.bucket === undefined) {
      throw new ConfigurationError('invalid-option', "S3Storage: option 'bucket' is missing")
    }
    if (options.client !== undefined && options.clientConfig !== undefined) {
      throw new ConfigurationError('invalid-option', "S3Storage: give 'client' or 'clientConfig', not both")
    }
    const urls = options.urls ?? {}
    checkOptions('S3Storage urls', urls, urlChecks)
    if (urls.sign !== undefined && urls.publicBaseUrl === undefined) {
      throw new ConfigurationError('invalid-option', "S3Storage urls: option 'sign' needs 'publicBaseUrl'")
    }
    this.keyPrefix = normalizePrefix('S3Storage', options.keyPrefix)
    if (typeof options.objectParams === 'object') {
      checkObjectParams('S3Storage objectParams', options.objectParams)
    }
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
    await this.#assertChecksumsOff()
    return new S3Upload(this.#bucket, this.#settings, key, options).run(body)
  }

  async open(key: string, { start, end, signal }: OpenOptions = {}): Promise<Readable> {
    const range = start === undefined && end === undefined ? undefined : `bytes=${start ?? 0}-${end ?? ''}`
    const { Body } = await this.#bucket.send(
      new GetObjectCommand({ Bucket: this.#bucket.name, Key: key, Range: range }),
      { operation: 'GetObject', key, signal },
    )
    const body = Body as Readable
    return signal === undefined ? body : addAbortSignal(signal, body)
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
