import type { AddressInfo } from 'node:net'
import {
  type ArgumentsHost,
  type CallHandler,
  Catch,
  Controller,
  type ExecutionContext,
  HttpCode,
  type INestApplication,
  type ModuleMetadata,
  type NestInterceptor,
  Post,
  UseInterceptors,
} from '@nestjs/common'
import { BaseExceptionFilter, HttpAdapterHost, NestFactory } from '@nestjs/core'
import { FileInterceptor } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import type { S3File } from '../../src/core/s3-file.ts'
import { getStorage } from '../../src/core/storage-registry.ts'
import { S3FileInterceptor, S3FileModule, UploadedS3File } from '../../src/nest.ts'
import type { Site } from './sites.ts'

export type Platform = 'express' | 'fastify'

export interface NestServer {
  app: INestApplication
  url: string
  port: number
  /** What the application has logged as an error or a warning. */
  logs: string[]
}

/** An application of Nest on a real socket. */
export async function startNest(
  platform: Platform,
  module: ModuleMetadata,
  prepare: (app: INestApplication) => void = () => undefined,
): Promise<NestServer> {
  const logs: string[] = []
  const remember = (...messages: unknown[]) => void logs.push(messages.join(' '))
  const logger = { log() {}, warn: remember, error: remember, fatal: remember }
  const options = { logger, forceCloseConnections: true, abortOnError: false }
  const root = { module: class {}, ...module }
  const app =
    platform === 'express'
      ? await NestFactory.create(root, options)
      : await NestFactory.create(root, new FastifyAdapter({ forceCloseConnections: true }), options)
  prepare(app)
  await app.listen(0, '127.0.0.1')
  const { port } = app.getHttpServer().address() as AddressInfo
  return { app, port, url: `http://127.0.0.1:${port}/`, logs }
}

/** Reads the body, as a middleware that does not know better would. */
class ReadingInterceptor implements NestInterceptor {
  async intercept(context: ExecutionContext, next: CallHandler) {
    for await (const _ of context.switchToHttp().getRequest().raw);
    return next.handle()
  }
}

export async function nestSite(platform: Platform, maxSizeBytes: number): Promise<Site> {
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
    imports: [S3FileModule.forRoot({ storages: { default: getStorage() } })],
    controllers: [UploadController],
  }
  const { app, port } = await startNest(platform, module, (app) => {
    app.useGlobalFilters(new RememberingFilter(app.get(HttpAdapterHost).httpAdapter))
  })
  return { port, failures, stop: () => app.close() }
}
