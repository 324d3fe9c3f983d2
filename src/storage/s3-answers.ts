/** An answer of the SDK's request handler, as far as it is looked at here. */
export interface HttpAnswer {
  statusCode: number
  headers: Record<string, string>
  body?: unknown
}

/** The least that an S3 store answers to a request that has succeeded. */
interface LeastAnswer {
  headers?: string[]
  /** The document element of the body, one of these. Without any the body is empty or, in some stores, XML of no meaning. */
  roots?: string[]
  /** Elements that the body must have. */
  elements?: string[]
  /** The element that says where a list goes on when it says that it does. */
  next?: string
  /** The body is an object's content, which may be anything. */
  isContent?: true
}

// Amazon S3 API Reference. DeleteObject and AbortMultipartUpload answer 204 there, and 200 in some other stores.
const leastAnswers: Record<string, LeastAnswer> = {
  PutObject: { headers: ['etag'] },
  UploadPart: { headers: ['etag'] },
  DeleteObject: {},
  AbortMultipartUpload: {},
  HeadObject: { headers: ['etag', 'content-length'] },
  GetObject: { headers: ['etag'], isContent: true },
  CopyObject: { roots: ['CopyObjectResult'], elements: ['ETag'] },
  UploadPartCopy: { roots: ['CopyPartResult'], elements: ['ETag'] },
  CreateMultipartUpload: { roots: ['InitiateMultipartUploadResult'], elements: ['UploadId'] },
  CompleteMultipartUpload: { roots: ['CompleteMultipartUploadResult'] },
  DeleteObjects: { roots: ['DeleteResult'] },
  ListObjectsV2: { roots: ['ListBucketResult'], next: 'NextContinuationToken' },
  // A store that does not know it may list the bucket's objects, and so no uploads.
  ListMultipartUploads: { roots: ['ListMultipartUploadsResult', 'ListBucketResult'], next: 'NextKeyMarker' },
}

/**
 * An answer that no S3 store gives to that request: of a proxy, a maintenance page, another server. Sent again, the
 * request may reach the store; all requests here can be sent twice.
 */
export class ForeignAnswer extends Error {
  override readonly name = 'ForeignAnswer'
  /** For the SDK's retry strategy. */
  readonly $retryable = {}
  readonly $metadata: { httpStatusCode: number }

  constructor({ statusCode, headers }: HttpAnswer, lack: string) {
    const type = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '')?.[0] ?? 'no content type'
    super(`the answer (${statusCode}, ${type}) ${lack}, so it is not from S3: look at what is in between`)
    this.$metadata = { httpStatusCode: statusCode }
  }
}

/**
 * Makes sure that what is about to be read as success, or as "there is no such object", comes from a store. The body is
 * left for the SDK to read.
 *
 * @param collect reads a body of the SDK's request handler.
 * @throws ForeignAnswer
 */
export async function assertFromS3(
  operation: string,
  request: { headers: Record<string, string> },
  answer: HttpAnswer,
  collect: (body: unknown) => Promise<Uint8Array>,
): Promise<void> {
  const least = leastAnswers[operation]
  const isSuccess = answer.statusCode < 300
  if (least === undefined || (!isSuccess && answer.statusCode !== 404)) return
  for (const header of isSuccess ? (least.headers ?? []) : []) {
    if (!answer.headers[header]) throw new ForeignAnswer(answer, `has no header '${header}'`)
  }
  if (isSuccess && least.isContent) {
    const { range = 'bytes=0-' } = request.headers
    // RFC 9110, 14.2: a store may ignore the range of an empty object, which has none.
    if (answer.statusCode === 206 || range === 'bytes=0-' || answer.headers['content-length'] === '0') return
    throw new ForeignAnswer(answer, `is not the range '${range}'`)
  }
  const bytes = await collect(answer.body)
  answer.body = bytes
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const root = rootOf(text)
  if (text.trim() !== '' && (root === undefined || root.toLowerCase() === 'html')) {
    throw new ForeignAnswer(answer, 'is not XML')
  }
  // S3 may only find out that it failed when it has begun to answer. The SDK reads it as an error by the status.
  if (isSuccess && root === 'Error') answer.statusCode = 500
  else if (isSuccess) assertComplete(text, root, least, answer)
}

function assertComplete(
  text: string,
  root: string | undefined,
  { roots, elements = [], next }: LeastAnswer,
  answer: HttpAnswer,
): void {
  if (roots !== undefined && !roots.includes(root ?? '')) {
    throw new ForeignAnswer(answer, `is not a ${roots[0]}`)
  }
  const isCut = next !== undefined && hasElement(text, 'IsTruncated', 'true')
  for (const element of isCut ? [...elements, next] : elements) {
    if (!hasElement(text, element, '[^<]')) throw new ForeignAnswer(answer, `has no ${element}`)
  }
}

/** The name of the document element, without its namespace; undefined for what is not XML. */
function rootOf(text: string): string | undefined {
  return /^(?:\s|<\?[^>]*>)*<(?:[\w.-]+:)?([\w.-]+)[\s/>]/.exec(text)?.[1]
}

function hasElement(text: string, name: string, content: string): boolean {
  return new RegExp(`<(?:[\\w.-]+:)?${name}(?:\\s[^>]*)?>\\s*${content}`).test(text)
}
