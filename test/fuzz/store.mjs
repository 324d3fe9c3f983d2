import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'

/** A bucket of its own, on the S3 that test/servers/start has started, otherwise on the embedded one. */
export class Store {
  #client
  #stop
  settings
  /** Whether open multipart uploads can be listed. */
  listsUploads

  static async start() {
    const store = new Store()
    const known = '.servers/endpoints.json'
    const { versitygw } = existsSync(known) ? JSON.parse(readFileSync(known, 'utf8')) : {}
    store.listsUploads = versitygw !== undefined
    const { endpoint, accessKeyId, secretAccessKey } = versitygw ?? (await store.#startEmbedded())
    const credentials = { accessKeyId, secretAccessKey }
    store.#client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
    store.settings = { endpoint, credentials, bucket: `fuzz-${randomBytes(6).toString('hex')}` }
    await store.#client.send(new CreateBucketCommand({ Bucket: store.settings.bucket }))
    return store
  }

  async #startEmbedded() {
    const script = new URL('../../example/embedded-servers.mjs', import.meta.url).pathname
    const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#stop = () => child.stdin.end()
    const [line] = await once(createInterface(child.stdout), 'line')
    return { endpoint: JSON.parse(line).s3, accessKeyId: 'test', secretAccessKey: 'embedded-secret' }
  }

  async bytes(key) {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.settings.bucket, Key: key }))
    return Buffer.from(await Body.transformToByteArray())
  }

  async keys() {
    const keys = []
    let token
    do {
      const page = await this.#client.send(
        new ListObjectsV2Command({ Bucket: this.settings.bucket, ContinuationToken: token }),
      )
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key))
      token = page.NextContinuationToken
    } while (token !== undefined)
    return keys
  }

  async openUploads() {
    const { Uploads = [] } = await this.#client.send(
      new ListMultipartUploadsCommand({ Bucket: this.settings.bucket }),
    )
    return Uploads.map(({ Key }) => Key)
  }

  async delete(keys) {
    for (let start = 0; start < keys.length; start += 1000) {
      const Objects = keys.slice(start, start + 1000).map((Key) => ({ Key }))
      await this.#client.send(
        new DeleteObjectsCommand({ Bucket: this.settings.bucket, Delete: { Objects, Quiet: true } }),
      )
    }
  }

  async stop() {
    await this.delete(await this.keys())
    await this.#client.send(new DeleteBucketCommand({ Bucket: this.settings.bucket }))
    this.#client.destroy()
    this.#stop?.()
  }
}
