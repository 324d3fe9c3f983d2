import { randomBytes } from 'node:crypto'
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { inject } from 'vitest'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import type { S3StorageOptions } from '../../src/storage/s3-storage-options.ts'
import { ChaosProxy } from './chaos-proxy.ts'
import { s3Abilities, s3ClientConfig } from './servers.ts'

/** The S3 server of this run behind a proxy, and a prefix in its bucket that nobody else uses. */
export class S3World {
  readonly proxy: ChaosProxy
  readonly client: S3Client
  readonly prefix: string
  readonly storage: S3Storage

  private constructor(proxy: ChaosProxy) {
    this.proxy = proxy
    this.client = new S3Client(s3ClientConfig(S3World.server, proxy.endpoint))
    this.prefix = `test-${randomBytes(6).toString('hex')}/`
    this.storage = this.newStorage()
    configureStorages({ default: this.storage })
  }

  static get server() {
    return inject('servers').s3
  }

  static get abilities() {
    return s3Abilities[S3World.server.kind]
  }

  static async start(): Promise<S3World> {
    return new S3World(await ChaosProxy.start(S3World.server.endpoint, S3World.server.caFile))
  }

  newStorage(options: Partial<S3StorageOptions> = {}): S3Storage {
    return new S3Storage({
      bucket: S3World.server.bucket,
      keyPrefix: this.prefix,
      partSizeBytes: 5 * 1024 * 1024,
      ...(options.client === undefined
        ? { clientConfig: s3ClientConfig(S3World.server, this.proxy.endpoint) }
        : {}),
      ...options,
    })
  }

  /** Keys of all objects, without the prefix. */
  async keys(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of this.storage.list()) keys.push(key.slice(this.prefix.length))
    return keys
  }

  /** Keys of all multipart uploads that are neither completed nor aborted. */
  async openUploads(): Promise<string[]> {
    if (!S3World.abilities.listsUploads) return [...this.proxy.openUploads.values()]
    const { Uploads = [] } = await this.client.send(
      new ListMultipartUploadsCommand({ Bucket: S3World.server.bucket, Prefix: this.prefix }),
    )
    return Uploads.map(({ Key }) => Key as string)
  }

  /** Deletes all objects, aborts what the proxy saw begin, and forgets faults and requests. */
  async clear(): Promise<void> {
    this.proxy.reset()
    for (const [UploadId, Key] of this.proxy.openUploads) {
      await this.client.send(
        new AbortMultipartUploadCommand({ Bucket: S3World.server.bucket, Key, UploadId }),
      )
    }
    await this.storage.deleteMany((await this.keys()).map((key) => this.prefix + key))
    this.proxy.reset()
  }

  async stop(): Promise<void> {
    await this.clear()
    this.client.destroy()
    await this.proxy.stop()
  }
}
