import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl, S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { contentDisposition } from '../core/content-disposition.js'
import type { SignedUrl, UrlOptions } from '../core/file-storage.js'
import { mayBeInline } from '../core/inline-types.js'
import { storageErrorOf } from './s3-errors.js'
import { SigningHash } from './s3-signing-hash.js'

export interface S3UrlSettings {
  expiresInSeconds: number
  windowSeconds: number
  publicBaseUrl: string | undefined
  sign: SignFunction | undefined
}

/** Signs a URL of `publicBaseUrl`, for instance with a CDN's key. */
export type SignFunction = (url: string, options: { expiresAt: Date }) => string | Promise<string>

/** A request as the SDK builds it, as far as it is needed here. */
interface PreparedRequest {
  method: string
  protocol: string
  hostname: string
  port?: number
  path: string
  query: Record<string, string | string[] | null>
  headers: Record<string, string>
}

interface Prepared {
  presigner: S3RequestPresigner
  request: PreparedRequest
  /** The path without the key. */
  basePath: string
}

/**
 * Makes download URLs. The signing time is rounded down to a window, so that the same file has the same URL for a
 * while and caches can work; a URL therefore lives between `expiresInSeconds - windowSeconds` and `expiresInSeconds`.
 */
export class S3UrlSigner {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #settings: S3UrlSettings
  readonly #now: () => number
  #prepared: Promise<Prepared | undefined> | undefined

  constructor(client: S3Client, bucket: string, settings: S3UrlSettings, now: () => number = Date.now) {
    this.#client = client
    this.#bucket = bucket
    this.#settings = settings
    this.#now = now
  }

  /** @throws StorageError `storage-failed` without credentials. */
  async sign(key: string, options: UrlOptions = {}): Promise<SignedUrl> {
    const life = options.expiresInSeconds ?? this.#settings.expiresInSeconds
    const window = Math.min(this.#settings.windowSeconds, Math.floor(life / 2)) * 1000
    const now = this.#now()
    const signedAt = now - (now % Math.max(window, 1000)) // Signature Version 4 counts in seconds.
    const refreshAt = new Date(signedAt + window)
    const expiresAt = new Date(signedAt + life * 1000)
    if (this.#settings.publicBaseUrl !== undefined) return this.#publicUrl(key, expiresAt, refreshAt)

    try {
      const expiration =
        (await this.#client.config.credentials()).expiration?.getTime() ?? Number.POSITIVE_INFINITY
      const expiresIn = Math.max(1, Math.floor((Math.min(expiresAt.getTime(), expiration) - signedAt) / 1000))
      const endsAt = new Date(signedAt + expiresIn * 1000)
      const url = await this.#presign(key, options, new Date(signedAt), expiresIn)
      return { url, expiresAt: endsAt, refreshAt: new Date(Math.min(refreshAt.getTime(), endsAt.getTime())) }
    } catch (error) {
      throw storageErrorOf(error, { operation: 'a presigned URL', bucket: this.#bucket, key })
    }
  }

  async #publicUrl(key: string, expiresAt: Date, refreshAt: Date): Promise<SignedUrl> {
    const url = `${this.#settings.publicBaseUrl?.replace(/\/$/, '')}/${encodeKey(key)}`
    if (this.#settings.sign === undefined) return { url, expiresAt: null, refreshAt }
    return { url: await this.#settings.sign(url, { expiresAt }), expiresAt, refreshAt }
  }

  async #presign(key: string, options: UrlOptions, signingDate: Date, expiresIn: number): Promise<string> {
    const disposition = contentDisposition(
      mayBeInline(options.contentType) ? (options.disposition ?? 'attachment') : 'attachment',
      options.downloadName ?? (key.split('/').at(-1) as string),
    )
    this.#prepared ??= this.#prepare().catch((error: unknown) => {
      this.#prepared = undefined
      throw error
    })
    const prepared = await this.#prepared
    if (prepared === undefined) {
      const command = new GetObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        ResponseContentDisposition: disposition,
        ResponseContentType: options.contentType,
      })
      return getSignedUrl(this.#client, command, { expiresIn, signingDate })
    }
    const request: PreparedRequest = {
      ...prepared.request,
      path: prepared.basePath + encodeKey(key),
      headers: { ...prepared.request.headers },
      query: { ...prepared.request.query, 'response-content-disposition': disposition },
    }
    if (options.contentType !== undefined) request.query['response-content-type'] = options.contentType
    const signed = await prepared.presigner.presign(request as never, { expiresIn, signingDate })
    return formatUrl(signed as unknown as PreparedRequest)
  }

  /**
   * Lets the client build one GET and catches it before it is signed and sent: what is the same for all keys
   * (endpoint, addressing style, parameters) is then worked out once, not per URL.
   *
   * @returns undefined where signing needs more than Signature Version 4 of one region (S3 Express, access points
   *   of several regions); the SDK then signs each URL from the start.
   */
  async #prepare(): Promise<Prepared | undefined> {
    const placeholder = 'k'
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: placeholder })
    let request: PreparedRequest | undefined
    let scheme: { name?: string; signingName?: string; signingRegion?: string } | undefined
    command.middlewareStack.add(
      (_next, context) => async (args) => {
        request = args.request as PreparedRequest
        scheme = (context.endpointV2 as { properties?: { authSchemes?: (typeof scheme)[] } } | undefined)
          ?.properties?.authSchemes?.[0]
        return { response: {}, output: { $metadata: {} } as never }
      },
      { step: 'build', priority: 'low', name: 'catchRequest' },
    )
    await this.#client.send(command)
    if (request === undefined || !request.path.endsWith(`/${placeholder}`)) return undefined
    if (scheme?.name !== undefined && scheme.name !== 'sigv4') return undefined
    const { config } = this.#client
    const presigner = new S3RequestPresigner({
      credentials: config.credentials,
      region: scheme?.signingRegion ?? (await config.region()),
      sha256: SigningHash,
      service: scheme?.signingName ?? 's3',
    } as ConstructorParameters<typeof S3RequestPresigner>[0])
    const { method, protocol, hostname, port, path, query } = request
    // Without its headers: a browser that follows the URL sends none of them, and the presigner adds the host.
    const template = {
      method,
      protocol,
      hostname,
      ...(port === undefined ? {} : { port }),
      path,
      query,
      headers: {},
    }
    return { presigner, request: template, basePath: path.slice(0, -placeholder.length) }
  }
}

/** A key as the path of a URL: each segment percent-encoded as RFC 3986 and Signature Version 4 want it. */
function encodeKey(key: string): string {
  return key.split('/').map(encodeStrictly).join('/')
}

function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function formatUrl({ protocol, hostname, port, path, query }: PreparedRequest): string {
  const parameters = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${encodeStrictly(name)}=${encodeStrictly(String(value))}`)
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}?${parameters.join('&')}`
}
