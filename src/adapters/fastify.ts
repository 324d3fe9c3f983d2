import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify'
import { isS3FileError } from '../core/errors.js'
import type { S3File } from '../core/s3-file.js'
import {
  type UploadedForm,
  type UploadFormOptions,
  type UploadRequestOptions,
  uploadFormFromRequest,
  uploadFromRequest,
} from '../upload/upload-from-request.js'
import { forClient } from './for-client.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** `uploadFromRequest()` of this request. */
    s3File<Entity = unknown>(options?: UploadRequestOptions<Entity>): Promise<S3File>
    /** `uploadFormFromRequest()` of this request. */
    s3Form<Entity = unknown, Entities = unknown>(
      options?: UploadFormOptions<Entity, Entities>,
    ): Promise<UploadedForm>
  }
}

function register(fastify: FastifyInstance, _options: object, done: () => void): void {
  // Fastify would answer 415. @fastify/multipart, where it came first, leaves the body unread as well.
  if (!fastify.hasContentTypeParser('multipart/form-data')) {
    fastify.addContentTypeParser('multipart/form-data', (_request, _payload, parsed) => parsed(null))
  }
  if (!fastify.hasRequestDecorator('s3File')) {
    fastify.decorateRequest('s3File', function (this: FastifyRequest, options) {
      return uploadFromRequest(this, options).catch(s3FileErrorHandler)
    })
    fastify.decorateRequest('s3Form', function (this: FastifyRequest, options) {
      return uploadFormFromRequest(this, options).catch(s3FileErrorHandler)
    })
  }
  done()
}

/**
 * Adds `request.s3File()` and `request.s3Form()` to the scope it is registered in, and lets multipart bodies through to
 * them. Their errors carry the status that Fastify answers with, and nothing that a client must not see: what failed
 * on the server is the error's `cause`, which Fastify's logger shows.
 */
export const s3FilePlugin: FastifyPluginCallback = Object.assign(register, {
  // The scope that registers it gets the decorations, not one of its own: Fastify's sign for that.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'typeorm-s3-file',
  [Symbol.for('plugin-meta')]: { name: 'typeorm-s3-file', fastify: '5.x' },
})

/**
 * For `setErrorHandler()`: keeps what the store or the application did wrong from clients, also in errors of `file.url()`,
 * `file.stream()` or `save()`. Hands every error on to the next handler, Fastify's own in the end.
 *
 * @throws always.
 */
export function s3FileErrorHandler(error: unknown): never {
  throw isS3FileError(error) ? forClient(error) : error
}
