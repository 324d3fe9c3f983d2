export { ApiS3File, type ApiS3FileOptions } from './adapters/nest/api-s3-file.js'
export type { S3FileModuleOptions } from './adapters/nest/module-options.js'
export { S3FileExceptionFilter } from './adapters/nest/s3-file-exception-filter.js'
export {
  type PartDown,
  type S3FileHealth,
  S3FileHealthIndicator,
  type S3FileHealthOptions,
} from './adapters/nest/s3-file-health-indicator.js'
export { S3FileInterceptor, S3FormInterceptor } from './adapters/nest/s3-file-interceptor.js'
export { S3FileModule } from './adapters/nest/s3-file-module.js'
export { UploadedS3File, UploadedS3Form } from './adapters/nest/uploaded-s3-file.js'
