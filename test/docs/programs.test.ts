import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { DataSource } from 'typeorm'
import { afterAll, afterEach, beforeAll, expect, inject, it, vi } from 'vitest'
import { dataSourceOptions, s3ClientConfig } from '../support/servers.ts'
import { DocsProject } from './docs-project.ts'
import { codeBlocksOf } from './markdown.ts'

const { s3, databaseUrl } = inject('servers')
/** In the place of Next: hands web requests to the route handler. */
const next = `
  import { serve } from '@hono/node-server'
  import { POST } from './route.js'
  serve({ fetch: POST, port: Number(process.env.PORT) })
`
let project: DocsProject
let program: ChildProcess | undefined

beforeAll(async () => {
  project = new DocsProject()
  project.compile()
  project.write('frameworks/next.js', next)
  const client = new S3Client(s3ClientConfig(s3, s3.endpoint))
  await client.send(new CreateBucketCommand({ Bucket: 'my-bucket' }))
  client.destroy()
})
afterEach(async () => {
  if (program?.exitCode === null && program.kill()) await once(program, 'exit')
})
afterAll(() => project.remove())

/** Starts an application of a page and gives its address once it answers. */
async function start(file: string): Promise<string> {
  const port = await freePort()
  let output = ''
  program = spawn(process.execPath, [file], {
    cwd: project.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      AWS_ENDPOINT_URL_S3: s3.endpoint,
      AWS_ACCESS_KEY_ID: s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    },
  })
  for (const stream of [program.stdout, program.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const url = `http://127.0.0.1:${port}`
  await vi.waitFor(
    async () => {
      if (program?.exitCode !== null) throw new Error(`${file} ended: ${output}`)
      await fetch(url)
    },
    { timeout: 60_000, interval: 100 },
  )
  return url
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

function formWith(name: string, text: string): FormData {
  const form = new FormData()
  form.append('file', new File([text], name))
  return form
}

const applications = codeBlocksOf('docs/frameworks.md').flatMap(({ file }) =>
  file === undefined || file === 'document.ts' ? [] : [file.replace(/\.ts$/, '').replace(/^route$/, 'next')],
)

it.each(applications)('the application for %s takes a file and gives a URL to it', async (name) => {
  let file = join('frameworks', `${name}.js`)
  if (name === 'express4') file = withExpress4(file)
  const url = await start(file)
  const response = await fetch(`${url}/documents`, { method: 'POST', body: formWith('report.txt', name) })
  const answer = await response.json()
  expect([response.status, answer.file]).toEqual([
    201,
    expect.objectContaining({ name: 'report.txt', size: name.length, contentType: 'text/plain' }),
  ])
  // One of them shows the entity without its URL.
  if (name !== 'fastify-beside-multipart') expect(await (await fetch(answer.file.url)).text()).toBe(name)

  const empty = await fetch(`${url}/documents`, { method: 'POST', body: new FormData() })
  expect([empty.status, await empty.json()]).toEqual([400, expect.objectContaining({ code: 'no-file' })])
})

/** A copy of the application, for which `express` is Express 4. */
function withExpress4(file: string): string {
  const folder = join(project.folder, 'with-express-4')
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  symlinkSync(join(project.folder, 'node_modules', 'express4'), join(folder, 'node_modules', 'express'))
  for (const name of [file, 'frameworks/document.js']) {
    copyFileSync(join(project.folder, name), join(folder, name.replace('frameworks/', '')))
  }
  return join('with-express-4', 'express4.js')
}

it('the twenty lines put a file into a row, and a second one in its place', async () => {
  const file = join('readme', 'twenty-lines.js')
  const lines = readFileSync(join(project.folder, file), 'utf8')
  const fitted = lines
    .replace('listen(3000)', 'listen(process.env.PORT)')
    // The embedded PostgreSQL has not the extension that TypeORM takes for UUIDs by default, and no table yet.
    .replace(
      "type: 'postgres',",
      "type: 'postgres', synchronize: true, dropSchema: true, uuidExtension: 'pgcrypto', installExtensions: false,",
    )
  writeFileSync(join(project.folder, file), fitted)
  const url = await start(file)
  const database = await new DataSource(dataSourceOptions(databaseUrl)).initialize()
  const [{ id }] = await database.query('INSERT INTO document DEFAULT VALUES RETURNING id')
  await database.destroy()

  for (const content of ['%PDF-1.7 first', '%PDF-1.7 second']) {
    const body = formWith('report.pdf', content)
    const response = await fetch(`${url}/documents/${id}/file`, { method: 'POST', body })
    const answer = await response.json()
    expect(answer).toEqual({ name: 'report.pdf', size: content.length, url: expect.any(String) })
    expect(await (await fetch(answer.url)).text()).toBe(content)
  }
})

it.each(['app', 'storage'])('the test %s.test.ts of the guide on testing passes', (name) => {
  const vitest = join('node_modules', 'vitest', 'vitest.mjs')
  const { exitCode, output } = project.run('', vitest, 'run', `testing/testing/${name}.test.ts`)
  expect(output).toContain('1 passed')
  expect(exitCode).toBe(0)
})

it('so does the one for Jest, with its configuration', () => {
  const jest = join('..', 'node_modules', 'jest', 'bin', 'jest.js')
  const { exitCode, output } = project.run('testing', jest, 'jest/document.test.ts')
  expect(output).toContain('1 passed')
  expect(exitCode).toBe(0)
})
