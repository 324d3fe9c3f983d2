export { s3FileErrorHandler, s3FilePlugin } from './adapters/fastify.js'
