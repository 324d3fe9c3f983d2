import type { S3Client } from '@aws-sdk/client-s3'
import { contentDisposition } from '../core/content-disposition.js'
import type { SignedUrl, UrlOptions } from '../core/file-storage.js'
import { mayBeInline } from '../core/inline-types.js'
import { storageErrorOf } from './s3-errors.js'
import {
  encodeKey,
  presignBySdk,
  S3UrlTemplate,
  type UrlContent,
  type UrlSigning,
} from './s3-url-template.js'

export interface S3UrlSettings {
  expiresInSeconds: number
  windowSeconds: number
  publicBaseUrl: string | undefined
  sign: SignFunction | undefined
}

/** Signs a URL of `publicBaseUrl`, for instance with a CDN's key. */
export type SignFunction = (url: string, options: { expiresAt: Date }) => string | Promise<string>

/** Kept at a time: one for each life that URLs are asked for, until the next window. */
const maxTemplates = 16

/**
 * Makes download URLs. The signing time is rounded down to a window, so that the same file has the same URL for a
 * while and caches can work; a URL therefore lives between `expiresInSeconds - windowSeconds` and `expiresInSeconds`.
 */
export class S3UrlSigner {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #settings: S3UrlSettings
  readonly #now: () => number
  /** By the time, the life and the credentials of the signatures. */
  readonly #templates = new Map<string, Promise<S3UrlTemplate | undefined>>()

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
      const credentials = await this.#client.config.credentials()
      const expiration = credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY
      const expiresIn = Math.max(1, Math.floor((Math.min(expiresAt.getTime(), expiration) - signedAt) / 1000))
      const endsAt = new Date(signedAt + expiresIn * 1000)
      const url = await this.#presign(contentOf(key, options), {
        signingDate: new Date(signedAt),
        expiresIn,
        credentials,
      })
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

  async #presign(content: UrlContent, signing: UrlSigning): Promise<string> {
    const { accessKeyId, secretAccessKey, sessionToken } = signing.credentials
    const made = [
      signing.signingDate.getTime(),
      signing.expiresIn,
      accessKeyId,
      secretAccessKey,
      sessionToken,
    ].join()
    let template = this.#templates.get(made)
    if (template === undefined) {
      if (this.#templates.size === maxTemplates) this.#templates.clear()
      template = S3UrlTemplate.make(this.#client, this.#bucket, signing)
      this.#templates.set(made, template)
      template.catch(() => this.#templates.delete(made))
    }
    return (await template)?.urlOf(content) ?? presignBySdk(this.#client, this.#bucket, content, signing)
  }
}

function contentOf(key: string, { contentType, disposition, downloadName }: UrlOptions): UrlContent {
  return {
    key,
    contentType,
    disposition: contentDisposition(
      mayBeInline(contentType) ? (disposition ?? 'attachment') : 'attachment',
      downloadName ?? (key.split('/').at(-1) as string),
    ),
  }
}
