import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { TestProject } from 'vitest/node'
import { startEmbeddedServers } from '../../example/src/embedded-servers.ts'
import { readServers, type Servers, s3ClientConfig } from './servers.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    servers: Servers
  }
}

/** Gives the integration tests their servers: those named in the environment, otherwise the embedded ones. */
export default async function setUp(project: TestProject): Promise<() => void> {
  const named = readServers(process.env)
  const embedded = named === undefined ? await startEmbeddedServers() : undefined
  const servers = named ?? {
    s3: {
      kind: 'embedded',
      endpoint: embedded?.s3 as string,
      accessKeyId: 'test',
      secretAccessKey: 'test',
      bucket: 'test-bucket',
    },
    databaseUrl: embedded?.postgres as string,
  }
  const client = new S3Client(s3ClientConfig(servers.s3, servers.s3.endpoint))
  try {
    await client.send(new HeadBucketCommand({ Bucket: servers.s3.bucket }))
  } catch {
    await client.send(new CreateBucketCommand({ Bucket: servers.s3.bucket }))
  }
  client.destroy()
  project.provide('servers', servers)
  return () => embedded?.stop()
}
