import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { UploadError } from '../core/errors.js'

const mostMsToAbort = 100

export function clientGone(cause?: unknown): UploadError {
  const options = cause === undefined ? {} : { cause }
  return new UploadError('client-gone', 'the client was gone before the upload was complete', options)
}

/**
 * Whether a body that has ended was cancelled. Over HTTP/2 such a body ends as if it were whole, and the word that it was
 * cancelled comes a moment later.
 */
export function isAborted(body: Readable): Promise<boolean> {
  const request = body as Readable & Partial<IncomingMessage>
  return new Promise((resolve) => {
    const isHttp2 = request.httpVersionMajor === 2 || 'rstCode' in request // A request, or its bare stream.
    if (request.aborted || !isHttp2) {
      resolve(request.aborted === true)
      return
    }
    const timer = setTimeout(() => resolve(false), mostMsToAbort)
    request.once('aborted', () => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
