import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { DataSource } from 'typeorm'
import { afterAll, afterEach, beforeAll, expect, inject, it, vi } from 'vitest'
import { dataSourceOptions, s3ClientConfig } from '../support/servers.ts'
import { DocsProject } from './docs-project.ts'

const { s3, databaseUrl } = inject('servers')
let project: DocsProject
let program: ChildProcess | undefined

beforeAll(async () => {
  project = new DocsProject()
  project.compile()
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
  project.write(file, fitted)
  const url = await start(file)
  const database = await new DataSource(dataSourceOptions(databaseUrl)).initialize()
  const [{ id }] = await database.query('INSERT INTO document DEFAULT VALUES RETURNING id')
  await database.destroy()

  for (const content of ['%PDF-1.7 first', '%PDF-1.7 second']) {
    const body = new FormData()
    body.append('file', new File([content], 'report.pdf'))
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
