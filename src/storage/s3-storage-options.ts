import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { ConfigurationError } from '../core/errors.js'
import type { ObjectParamsOption } from '../core/file-storage.js'
import { inlineTypesProblem } from '../core/inline-types.js'
import { checkObjectParams } from '../core/object-params.js'
import { checkOptions, option } from '../core/options.js'
import { maxUrlSeconds } from '../core/s3-file.js'
import { maxPartBytes, minPartBytes } from './part-plan.js'
import type { SignFunction } from './s3-url-signer.js'

/** The options of an `S3Storage`. */
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
  /** The start of each key that is written here, up to 256 bytes; a missing closing slash is added. @default '' */
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
  /** Headers, tags and storage class that the store keeps with each object, or a function that returns them. */
  objectParams?: ObjectParamsOption
  urls?: {
    /** The life of a URL unless the call says otherwise, 1 to 604,800. @default 900 */
    expiresInSeconds?: number
    /**
     * The time for which a file keeps its URL, 0 to 604,800 and at most half of the URL's life; with 0 each call signs
     * another one. @default 300
     */
    windowSeconds?: number
    /**
     * Serves from here instead of presigning: a public bucket or a CDN. The object's own headers then hold. An absolute
     * `http:` or `https:` URL without credentials, query and fragment; the key is appended to its path.
     */
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
  publicBaseUrl: baseUrlProblem,
  sign: option.function,
  inlineTypes: inlineTypesProblem,
}

/** Where options belong that are often given to `S3Storage` itself. */
const places = new Map(
  [
    ...[
      ...[
        'region',
        'endpoint',
        'credentials',
        'forcePathStyle',
        'profile',
        'maxAttempts',
        'retryMode',
        'tls',
      ],
      ...['requestHandler', 'logger', 'useAccelerateEndpoint', 'useDualstackEndpoint', 'useFipsEndpoint'],
      ...[
        'requestChecksumCalculation',
        'responseChecksumValidation',
        'followRegionRedirects',
        'useArnRegion',
      ],
    ].map((name) => ['clientConfig', name] as const),
    ...Object.keys(urlChecks).map((name) => ['urls', name] as const),
  ].map(([owner, name]) => [name, `${owner}: { ${name} }`]),
)

/**
 * Refuses options that no `S3Storage` can have.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`.
 */
export function checkS3StorageOptions(options: S3StorageOptions): void {
  checkOptions('S3Storage', options, checks, places)
  const { bucket, client, clientConfig, objectParams, urls = {} } = options
  if (bucket === undefined) refuse("S3Storage: option 'bucket' is missing")
  if (client !== undefined && clientConfig !== undefined) {
    refuse("S3Storage: give 'client' or 'clientConfig', not both")
  }
  checkOptions('S3Storage urls', urls, urlChecks)
  if (urls.sign !== undefined && urls.publicBaseUrl === undefined) {
    refuse("S3Storage urls: option 'sign' needs 'publicBaseUrl'")
  }
  if (typeof objectParams === 'object') checkObjectParams('S3Storage objectParams', objectParams)
}

function refuse(message: string): never {
  throw new ConfigurationError('invalid-option', message)
}

/** A key is appended to it, and a signature to that. */
function baseUrlProblem(value: unknown): string | undefined {
  const isPlain = typeof value === 'string' && /^https?:\/\/[^\s?#@]+$/i.test(value) && URL.canParse(value)
  return isPlain ? undefined : 'an absolute http: or https: URL without credentials, query and fragment'
}
