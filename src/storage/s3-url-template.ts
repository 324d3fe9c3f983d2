import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

/** What differs between the URLs of one bucket that are signed at one time. */
export interface UrlContent {
  key: string
  disposition: string
  contentType: string | undefined
}

export interface UrlSigning {
  signingDate: Date
  /** Seconds. */
  expiresIn: number
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
}

/** The SDK's URL for one GET of the bucket. */
export function presignBySdk(
  client: S3Client,
  bucket: string,
  { key, disposition, contentType }: UrlContent,
  { signingDate, expiresIn }: UrlSigning,
): Promise<string> {
  const command = new GetObjectCommand({
    Bucket: bucket,
    Key: key,
    ResponseContentDisposition: disposition,
    ResponseContentType: contentType,
  })
  command.middlewareStack.add(
    (next) => (args) => {
      // A browser that follows the URL sends none of them, and the presigner adds the host.
      ;(args.request as { headers: object }).headers = {}
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'dropHeaders' },
  )
  return getSignedUrl(client, command, { signingDate, expiresIn })
}

const sample = { key: 'k', disposition: 'd', contentType: 't' }
const dispositionName = 'response-content-disposition'
const typeName = 'response-content-type'

/**
 * A URL that the SDK has presigned, to make those of other keys by: for them only the signature is worked out anew,
 * which the SDK takes thirty times as long for.
 *
 * As in "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" of the Amazon S3 API Reference.
 */
export class S3UrlTemplate {
  /** All before the key. */
  readonly #base: string
  readonly #basePath: string
  readonly #host: string
  /** The parameters before and after those of a file, as both the URL and its signature have them: encoded and sorted. */
  readonly #before: string
  readonly #after: string
  readonly #textToSign: string
  readonly #signingKey: KeyObject

  /**
   * @returns undefined where signing needs more than Signature Version 4 of one region (S3 Express, access points of
   *   several regions): the signature of the SDK's own URL then comes out as another one.
   */
  static async make(
    client: S3Client,
    bucket: string,
    signing: UrlSigning,
  ): Promise<S3UrlTemplate | undefined> {
    const url = await presignBySdk(client, bucket, sample, signing)
    const template = new S3UrlTemplate(new URL(url), signing)
    const isSame = parametersOf(template.urlOf(sample)) === parametersOf(url)
    return isSame ? template : undefined
  }

  private constructor({ origin, host, pathname, searchParams }: URL, { credentials }: UrlSigning) {
    this.#basePath = pathname.slice(0, -sample.key.length)
    this.#base = origin + this.#basePath
    this.#host = host
    const parameters = [...searchParams].filter(([name]) => name !== 'X-Amz-Signature').sort(byName)
    const ofTemplate = (isMeant: (name: string) => boolean) =>
      parameters.filter(([name]) => isMeant(name)).map(([name, value]) => parameter(name, value))
    this.#before = ofTemplate((name) => name < dispositionName).join('&')
    this.#after = ofTemplate((name) => name > typeName)
      .map((text) => `&${text}`)
      .join('')
    const [, ...scope] = (searchParams.get('X-Amz-Credential') ?? '').split('/')
    this.#textToSign = `AWS4-HMAC-SHA256\n${searchParams.get('X-Amz-Date')}\n${scope.join('/')}\n`
    this.#signingKey = scope.reduce<KeyObject>(
      (key, part) => createSecretKey(createHmac('sha256', key).update(part).digest()),
      createSecretKey(`AWS4${credentials.secretAccessKey}`, 'utf8'),
    )
  }

  urlOf({ key, disposition, contentType }: UrlContent): string {
    const path = encodeKey(key)
    const type = contentType === undefined ? '' : `&${parameter(typeName, contentType)}`
    const query = `${this.#before}&${parameter(dispositionName, disposition)}${type}${this.#after}`
    const request = `GET\n${this.#basePath}${path}\n${query}\nhost:${this.#host}\n\nhost\nUNSIGNED-PAYLOAD`
    const signature = createHmac('sha256', this.#signingKey)
      .update(this.#textToSign + hash('sha256', request))
      .digest('hex')
    return `${this.#base}${path}?${query}&X-Amz-Signature=${signature}`
  }
}

/** A key as the path of a URL: each segment percent-encoded as RFC 3986 and Signature Version 4 want it. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodeStrictly).join('/')
}

function parameter(name: string, value: string): string {
  return `${encodeStrictly(name)}=${encodeStrictly(value)}`
}

/** In one order, and so comparable. */
function parametersOf(url: string): string {
  return [...new URL(url).searchParams].sort().join()
}

function byName([left]: [string, string], [right]: [string, string]): number {
  return left < right ? -1 : 1
}

function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
