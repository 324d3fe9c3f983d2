import { type ArgumentsHost, Catch, type Type } from '@nestjs/common'
import { BaseExceptionFilter } from '@nestjs/core'
import { isS3FileError, type S3FileError } from '../../core/errors.js'
import { toHttpException } from './http-exception.js'

/** Nest asks by `instanceof`, which does not hold between two copies of this package; a brand does. */
const anyS3FileError = { [Symbol.hasInstance]: isS3FileError } as unknown as Type<S3FileError>

/**
 * Answers errors of this package wherever they come from, such as `file.url()` or `save()` in a handler, with the
 * status and the body that the upload interceptors give theirs: `{ provide: APP_FILTER, useClass: S3FileExceptionFilter }`.
 */
@Catch(anyS3FileError)
export class S3FileExceptionFilter extends BaseExceptionFilter<S3FileError> {
  override catch(error: S3FileError, host: ArgumentsHost): unknown {
    const exception = toHttpException(error, host)
    // GraphQL and microservices answer with what a filter returns.
    return host.getType() === 'http' ? super.catch(exception as S3FileError, host) : exception
  }
}
