import type { AddressInfo } from 'node:net'
import {
  type ArgumentsHost,
  type CallHandler,
  Catch,
  Controller,
  type ExecutionContext,
  HttpCode,
  type NestInterceptor,
  Post,
  UseInterceptors,
} from '@nestjs/common'
import { HttpAdapterHost, NestFactory } from '@nestjs/core'
import { BaseExceptionFilter } from '@nestjs/core'
import { FileInterceptor } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import type { S3File } from '../../src/core/s3-file.ts'
import { getStorage } from '../../src/core/storage-registry.ts'
import { S3FileInterceptor, S3FileModule, UploadedS3File } from '../../src/nest.ts'
import type { Site } from './sites.ts'

/** An application of Nest on a real socket, with the storages that are configured already. */
export async function startNest(
  platform: 'express' | 'fastify',
  module: object,
  prepare: (app: Awaited<ReturnType<typeof NestFactory.create>>) => void = () => undefined,
): Promise<{ port: number; stop: () => Promise<void>; get: <T>(token: unknown) => T }> {
  const options = { logger: false, forceCloseConnections: true } as const
  const app =
    platform === 'express'
      ? await NestFactory.create(module as never, options)
      : await NestFactory.create(
          module as never,
          new FastifyAdapter({ forceCloseConnections: true }) as never,
          options,
        )
  prepare(app)
  await app.listen(0, '127.0.0.1')
  const { port } = app.getHttpServer().address() as AddressInfo
  return { port, stop: () => app.close(), get: (token) => app.get(token as never, { strict: false }) }
}

/** Reads the body, as a middleware that does not know better would. */
class ReadingInterceptor implements NestInterceptor {
  async intercept(context: ExecutionContext, next: CallHandler) {
    for await (const _ of context.switchToHttp().getRequest().raw);
    return next.handle()
  }
}

export async function nestSite(platform: 'express' | 'fastify', maxSizeBytes: number): Promise<Site> {
  @Controller()
  class UploadController {
    @Post()
    @HttpCode(200)
    upload(@UploadedS3File('file', { maxSizeBytes }) file: S3File): S3File {
      return file
    }

    @Post('consumed')
    @UseInterceptors(
      platform === 'express' ? FileInterceptor('file') : ReadingInterceptor,
      S3FileInterceptor({ maxSizeBytes }),
    )
    consumed(@UploadedS3File() file: S3File): S3File {
      return file
    }
  }

  const failures: unknown[] = []
  @Catch()
  class RememberingFilter extends BaseExceptionFilter {
    override catch(exception: Error, host: ArgumentsHost): void {
      failures.push(exception.cause)
      super.catch(exception, host)
    }
  }
  const module = {
    module: class {},
    imports: [S3FileModule.forRoot({ storages: { default: getStorage() } })],
    controllers: [UploadController],
  }
  const { port, stop } = await startNest(platform, module, (app) => {
    app.useGlobalFilters(new RememberingFilter(app.get(HttpAdapterHost).httpAdapter))
  })
  return { port, stop, failures }
}
