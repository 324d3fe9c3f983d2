import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { FileJanitor, getStorage } from 'typeorm-s3-file'
import { inject, vi } from 'vitest'
import { Document } from '../../example/src/document.ts'
import { Journal } from '../../example/src/journal.ts'
import { Profile } from '../../example/src/profile.ts'
import { type RunningServer, startServer } from '../../example/src/server.ts'
import { ChaosProxy } from '../support/chaos-proxy.ts'
import { dataSourceOptions } from '../support/servers.ts'

const chromiumArgs = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** What the browser wrote to its console as an error, such as `Failed to load resource: … 413`. */
export type Complaints = string[]

/** The example as `npm run demo` starts it, on this run's servers with a proxy before S3, and a Chromium. */
export class DemoWorld {
  readonly proxy: ChaosProxy
  readonly #context: BrowserContext
  readonly #profile: string
  readonly #bucket = `browser-${randomBytes(6).toString('hex')}`
  #server!: RunningServer

  private constructor(proxy: ChaosProxy, context: BrowserContext, profile: string) {
    this.proxy = proxy
    this.#context = context
    this.#profile = profile
  }

  static async start(): Promise<DemoWorld> {
    const { endpoint, caFile } = inject('servers').s3
    const proxy = await ChaosProxy.start(endpoint, caFile)
    const profile = await mkdtemp(join(tmpdir(), 'chromium-'))
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
      headless: true,
      args: chromiumArgs,
      viewport: { width: 1200, height: 900 },
      reducedMotion: 'reduce',
    })
    context.setDefaultTimeout(60_000)
    const world = new DemoWorld(proxy, context, profile)
    await world.startServer()
    await world.#server.dataSource.synchronize(true)
    return world
  }

  get address(): string {
    return this.#server.address
  }

  /** Starts the demo again, where it was. */
  async startServer(port = 0): Promise<void> {
    const { s3, databaseUrl } = inject('servers')
    this.#server = await startServer({
      port,
      bucket: this.#bucket,
      s3: {
        endpoint: this.proxy.endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
      },
      database: dataSourceOptions(databaseUrl),
    })
  }

  async stopServer(): Promise<void> {
    await this.#server.stop()
  }

  /** The page in a new tab, ready to be used. */
  async open(): Promise<{ page: Page; complaints: Complaints }> {
    const page = await this.#context.newPage()
    const complaints: Complaints = []
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(this.address)
    await page.getByText('Connected').waitFor()
    return { page, complaints }
  }

  /** All objects in the bucket. */
  async keys(): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of getStorage().list()) keys.push(key)
    return keys
  }

  /** What is left of uploads: entries of the journal and multipart uploads. */
  async openUploads(): Promise<unknown[]> {
    const entries = await this.#server.dataSource.getRepository(Journal).findBy({ reason: 'upload' })
    return [...entries, ...this.proxy.openUploads.values()]
  }

  async names(): Promise<string[]> {
    const documents = await this.#server.dataSource.getRepository(Document).find()
    return documents.map(({ file }) => file?.name ?? '')
  }

  async deleteDocuments(): Promise<void> {
    const documents = this.#server.dataSource.getRepository(Document)
    await documents.remove(await documents.find())
  }

  /** Closes all pages and takes all files away, with their objects. */
  async clear(): Promise<void> {
    this.proxy.reset()
    for (const page of this.#context.pages()) await page.close()
    await this.deleteDocuments()
    const { dataSource } = this.#server
    const profiles = dataSource.getRepository(Profile)
    await profiles.remove(await profiles.find())
    const janitor = new FileJanitor(dataSource, { deleteAfterSeconds: 0 })
    await vi.waitFor(async () => {
      await janitor.runOnce()
      const keys = await this.keys()
      if (keys.length > 0) throw new Error(`still there: ${keys}`)
    }, 60_000)
  }

  async stop(): Promise<void> {
    await this.#context.close()
    await this.#server.stop()
    await this.proxy.stop()
    await rm(this.#profile, { recursive: true, force: true })
  }
}
