import {
  type ArgumentsHost,
  BadGatewayException,
  BadRequestException,
  ConflictException,
  HttpException,
  InternalServerErrorException,
  Logger,
  NotFoundException,
  PayloadTooLargeException,
  RequestTimeoutException,
  ServiceUnavailableException,
  UnprocessableEntityException,
  UnsupportedMediaTypeException,
} from '@nestjs/common'
import { isS3FileError } from '../../core/errors.js'
import { forClient, statusText } from '../for-client.js'

type ExceptionClass = new (body: object, options: { cause: unknown }) => HttpException

const classByStatus: Record<number, ExceptionClass> = {
  400: BadRequestException,
  404: NotFoundException,
  409: ConflictException,
  408: RequestTimeoutException,
  413: PayloadTooLargeException,
  415: UnsupportedMediaTypeException,
  422: UnprocessableEntityException,
  500: InternalServerErrorException,
  502: BadGatewayException,
  503: ServiceUnavailableException,
}

const logger = new Logger('S3FileModule')

/**
 * Nest's own exception for an error of this package, with `{ statusCode, code, error, message }` for a body; any other error
 * as it is. Headers such as `Retry-After` go to the answer of `host`. Nest does not log HttpExceptions, so what the client is not told is logged here.
 */
export function toHttpException(error: unknown, host?: ArgumentsHost): unknown {
  if (!isS3FileError(error)) return error
  const { statusCode, code, headers } = error
  if (host?.getType() === 'http') {
    // Of Express and of Fastify; an exception of Nest's has no headers.
    const response = host.switchToHttp().getResponse<{ header(name: string, value: string): void }>()
    for (const [name, value] of Object.entries(headers)) response.header(name, value)
  }
  const { message } = forClient(error)
  if (statusCode >= 500) logger.error(`${code}: ${error.message}`, error.stack)
  const body = { statusCode, code, error: statusText(statusCode), message }
  const Exception = classByStatus[statusCode]
  return Exception === undefined
    ? new HttpException(body, statusCode, { cause: error })
    : new Exception(body, { cause: error })
}
