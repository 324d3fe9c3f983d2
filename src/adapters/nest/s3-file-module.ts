import { Inject, Module, type OnApplicationBootstrap } from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import type { FastifyInstance } from 'fastify'
import { configureStorages } from '../../core/storage-registry.js'
import { s3FilePlugin } from '../fastify.js'
import { JanitorService } from './janitor-service.js'
import { JournaledDataSources } from './journaled-data-sources.js'
import {
  ConfigurableModuleClass,
  checkModuleOptions,
  MODULE_OPTIONS_TOKEN,
  type S3FileModuleOptions,
} from './module-options.js'
import { S3FileExceptionFilter } from './s3-file-exception-filter.js'
import { S3FileHealthIndicator } from './s3-file-health-indicator.js'

/**
 * `S3FileModule.forRoot({ storages, janitor })` in the root module, or `forRootAsync({ imports, inject, useFactory })`:
 * configures the storages, runs the janitor, lets multipart bodies through on Fastify, and provides
 * `S3FileHealthIndicator` and `S3FileExceptionFilter` to all modules.
 */
@Module({
  providers: [JournaledDataSources, JanitorService, S3FileHealthIndicator, S3FileExceptionFilter],
  exports: [S3FileHealthIndicator, S3FileExceptionFilter],
})
export class S3FileModule extends ConfigurableModuleClass implements OnApplicationBootstrap {
  readonly #host: HttpAdapterHost

  /** @throws ConfigurationError `unknown-option`, `invalid-option`. */
  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) options: S3FileModuleOptions,
    @Inject(HttpAdapterHost) host: HttpAdapterHost,
  ) {
    super()
    checkModuleOptions(options)
    configureStorages(options.storages)
    this.#host = host
  }

  /** After `onModuleInit`, in which Nest's own upload interceptors register the multipart plugin that they need. */
  onApplicationBootstrap(): void {
    const { httpAdapter } = this.#host
    if (httpAdapter?.getType() !== 'fastify') return
    httpAdapter.getInstance<FastifyInstance>().register(s3FilePlugin)
  }
}
