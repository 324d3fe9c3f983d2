import { UploadError } from '../core/errors.js'
import { parseMediaType } from './parse-media-type.js'

const maxBoundaryBytes = 70 // RFC 2046, 5.1.1

/** What a request's headers say of its body. */
export interface FormHeaders {
  contentType: string | undefined
  contentEncoding: string | undefined
}

/**
 * The boundary of a body that is a form.
 *
 * @throws UploadError `not-multipart`, `type-not-accepted` for a compressed body.
 */
export function formBoundary({ contentType, contentEncoding = '' }: FormHeaders): string {
  const type = parseMediaType(contentType)
  if (type?.essence !== 'multipart/form-data') {
    throw notMultipart(`the body is ${contentType ?? 'of no type'}, not multipart/form-data`, contentType)
  }
  if (!['', 'identity'].includes(contentEncoding.trim().toLowerCase())) {
    throw new UploadError(
      'type-not-accepted',
      `the body is encoded with ${contentEncoding}; it must be sent as it is`,
      { context: { contentEncoding } },
    )
  }
  const boundary = type.parameters.get('boundary') ?? ''
  if (boundary.length > maxBoundaryBytes) {
    throw notMultipart(`the boundary is longer than the limit of ${maxBoundaryBytes} bytes`, contentType)
  }
  if (!/^[\x20-\x7e]*[\x21-\x7e]$/.test(boundary)) {
    throw notMultipart(`the body's type is '${contentType}', which names no usable boundary`, contentType)
  }
  return boundary
}

function notMultipart(message: string, contentType: string | undefined): UploadError {
  return new UploadError('not-multipart', message, { context: { contentType } })
}
