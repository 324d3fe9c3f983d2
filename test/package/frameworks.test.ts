import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type EmbeddedServers, startEmbeddedServers } from '../../example/src/embedded-servers.ts'
import { ChaosProxy } from '../support/chaos-proxy.ts'
import { Consumer, installTarball, link, modules, repository } from './consumer.ts'

/** docs/frameworks.md, of which nothing is changed on its way into the folder. */
const guide = readFileSync(join(repository, 'docs', 'frameworks.md'), 'utf8')
const [intro = '', ...sections] = guide.split(/^## /m)
const [document = ''] = programs(intro).map(({ code }) => code)
const applications = sections.flatMap((section) =>
  programs(section).map((program) => ({ ...program, before: section.slice(0, program.index) })),
)

function programs(text: string): { file: string; code: string; index: number }[] {
  return [...text.matchAll(/^```ts\n(\/\/ ([\w-]+\.ts)\n.*?)^```/gms)].map((match) => {
    const [, code = '', file = ''] = match
    return { file, code, index: match.index }
  })
}

/** What the text says to install, in that order. */
function packagesIn(text: string): string[] {
  const commands = [...text.matchAll(/npm install ([^`\n]+)/g)]
  return commands.flatMap(([, names = '']) => names.split(/\s+/).filter((name) => !name.startsWith('-')))
}

const command = /^npx tsc (.+) express\.ts$/m.exec(intro)?.[1]?.split(' ') ?? []

let servers: EmbeddedServers
let store: ChaosProxy
beforeAll(async () => {
  servers = await startEmbeddedServers()
  store = await ChaosProxy.start(servers.s3)
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
  const client = new S3Client({
    endpoint: servers.s3,
    region: 'eu-central-1',
    credentials,
    forcePathStyle: true,
  })
  await client.send(new CreateBucketCommand({ Bucket: 'my-bucket' }))
  client.destroy()
})
afterAll(async () => {
  await store?.stop()
  await servers?.stop()
})

it('has an application for each framework', () => {
  const files = [
    'nest',
    'fastify',
    'fastify-beside-multipart',
    'express',
    'express4',
    'koa',
    'hono',
    'route',
    'node',
  ]
  expect(applications.map(({ file }) => file)).toEqual(files.map((name) => `${name}.ts`))
  expect(command).not.toEqual([])
})

describe.each(applications)(
  '$file, as a stranger copies it into an empty folder',
  ({ file, code, before }) => {
    const { others, tarball } = inject('packed')
    const compiled = file.replace('.ts', '.js')
    let consumer: Consumer
    let running: ChildProcess | undefined
    let output = ''

    beforeAll(() => {
      expect(intro).toContain('npm init -y && npm pkg set type=module')
      consumer = new Consumer(others, file, { type: 'module' })
      for (const name of packagesIn(intro + before).reverse()) {
        if (name === 'typeorm-s3-file') installTarball(tarball, consumer.folder)
        else link(consumer.folder, name.replace(/(?<=.)@\d+$/, ''), name.replace(/(?<=.)@(?=\d+$)/, ''))
      }
      consumer.write('document.ts', document)
      consumer.write(file, code)
    })
    afterAll(async () => {
      if (running?.exitCode !== null || running.signalCode !== null) return
      running.kill('SIGKILL')
      await once(running, 'close')
    })

    it('compiles, starts, stores what is posted to it, and says when to come back where the store is busy', async () => {
      await consumer.node([join(modules, 'typescript', 'bin', 'tsc'), ...command, file])
      // What Next does with a route, as every framework that hands out a web Request.
      const serve = pathToFileURL(join(modules, '@hono', 'node-server', 'dist', 'index.mjs'))
      consumer.write(
        'serve-route.js',
        `import { serve } from '${serve}'\nimport { POST } from './route.js'
       serve({ fetch: POST, port: Number(process.env.PORT) })`,
      )
      const port = await freePort()
      const env = {
        ...process.env,
        NODE_OPTIONS: '',
        PORT: String(port),
        DATABASE_URL: servers.postgres,
        AWS_ENDPOINT_URL_S3: store.endpoint,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
      }
      const main = file === 'route.ts' ? 'serve-route.js' : compiled
      running = spawn(process.execPath, [main], {
        cwd: consumer.folder,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      for (const stream of [running.stdout, running.stderr]) {
        stream?.setEncoding('utf8').on('data', (text: string) => {
          output += text
        })
      }
      await untilListening(port)

      const url = `http://127.0.0.1:${port}/documents`
      const form = new FormData()
      form.set('file', new Blob(['hello, stranger']), 'report.txt')
      const answer = await fetch(url, { method: 'POST', body: form })
      const stored = (await answer.json()) as { file: { url?: string } }
      expect([answer.status, stored], output).toEqual([
        201,
        { id: expect.any(Number), file: expect.objectContaining({ name: 'report.txt', size: 15 }) },
      ])
      if (stored.file.url !== undefined) {
        expect(await (await fetch(stored.file.url)).text()).toBe('hello, stranger')
      }

      const empty = new FormData()
      empty.set('title', 'no file')
      const refused = await fetch(url, { method: 'POST', body: empty })
      expect([refused.status, await refused.json()], output).toEqual([
        400,
        expect.objectContaining({ code: 'no-file', message: expect.any(String) }),
      ])

      store.inject({ on: 'PutObject', kind: 'slowDown', times: 100 })
      const busy = await fetch(url, { method: 'POST', body: form })
      store.reset()
      expect([busy.status, busy.headers.get('retry-after'), await busy.json()], output).toEqual([
        503,
        '10',
        expect.objectContaining({ code: 'storage-busy' }),
      ])
    })

    async function untilListening(port: number): Promise<void> {
      for (;;) {
        if (running?.exitCode !== null) throw new Error(`${compiled} has ended:\n${output}`)
        // Any answer will do: a request that is no upload changes nothing.
        const isThere = await fetch(`http://127.0.0.1:${port}/`).then(
          () => true,
          () => false,
        )
        if (isThere) return
        await sleep(50)
      }
    }
  },
)

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
