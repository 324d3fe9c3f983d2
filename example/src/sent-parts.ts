import type { S3Client } from '@aws-sdk/client-s3'

/** Notes the size of each part that the client sends from now on, in the order in which they leave. */
export function watchParts(client: S3Client): number[] {
  const sizes: number[] = []
  client.middlewareStack.add(
    (next, context) => (args) => {
      if (context.commandName === 'UploadPartCommand') {
        sizes.push((args.input as { ContentLength: number }).ContentLength)
      }
      return next(args)
    },
    { step: 'initialize', name: 'watchParts', override: true },
  )
  return sizes
}
