import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import axios from 'axios'
import NpmFormData from 'form-data'
import got from 'got'
import ky from 'ky'
import nodeFetch, { File as NodeFetchFile, FormData as NodeFetchFormData } from 'node-fetch'
import superagent from 'superagent'
import { FormData as UndiciFormData, fetch as undiciFetch } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { configureStorages, uploadFormFromRequest } from '../../src/index.ts'
import { MemoryStorage } from '../../src/testing.ts'
import { startServer, type TestServer } from '../support/http-server.ts'
import { sampleBytes } from '../support/multipart.ts'
import { S3World } from '../support/s3-world.ts'

const filename = 'Prüfung 报告 (1) "neu".bin'
const bytes = Buffer.from(sampleBytes(300_000))
const fields = [
  ['title', 'Größe "ja" & 100%22'],
  ['odd "name" (ö)', '报告'],
] as const

const storage = new MemoryStorage()
let server: TestServer
let received: unknown
/** A file of that very name, for clients that send what is on the disk. */
const folder = mkdtempSync(join(tmpdir(), 'clients-'))
const path = join(folder, filename)

beforeAll(async () => {
  writeFileSync(path, bytes)
  configureStorages({ default: storage })
  server = await startServer(async (incoming) => {
    const form = await uploadFormFromRequest(incoming)
    const files = Object.entries(form.files).map(([field, list]) => [
      field,
      list.map(({ name, key }) => ({ name, isSame: storage.objects.get(key)?.bytes.equals(bytes) })),
    ])
    received = { files, fields: Object.entries(form.fields) }
  })
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  received = undefined
})

/** Fields and then the file, into whatever a client has for a form. */
function filled<Form extends { append: (name: string, value: never, filename?: string) => void }>(
  form: Form,
  file: unknown,
): Form {
  for (const [name, value] of fields) form.append(name, value as never)
  form.append('file', file as never, filename)
  return form
}

const webForm = () => filled(new FormData(), new Blob([bytes]))
const npmForm = () => filled(new NpmFormData(), bytes)

function piped(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const form = npmForm()
    const sending = request(url, { method: 'POST', headers: form.getHeaders() }, (response) => {
      response.resume().on('end', resolve)
    })
    form.pipe(sending.on('error', reject))
  })
}

const clients: Record<string, (url: string) => Promise<unknown>> = {
  "Node's fetch": (url) => fetch(url, { method: 'POST', body: webForm() }),
  undici: (url) =>
    undiciFetch(url, { method: 'POST', body: filled(new UndiciFormData(), new Blob([bytes])) }),
  'node-fetch': (url) =>
    nodeFetch(url, {
      method: 'POST',
      body: filled(new NodeFetchFormData(), new NodeFetchFile([bytes], filename)),
    }),
  ky: (url) => ky.post(url, { body: webForm() }),
  got: (url) => got.post(url, { body: webForm() }),
  'axios with FormData': (url) => axios.post(url, webForm()),
  'axios with form-data': (url) => axios.post(url, npmForm()),
  'form-data piped into http.request': piped,
  superagent: (url) => {
    const sending = superagent.post(url)
    for (const [name, value] of fields) sending.field(name, value)
    return sending.attach('file', bytes, filename)
  },
}

const run = promisify(execFile)
const everything = {
  files: [['file', [{ name: filename, isSame: true }]]],
  fields: fields.map(([name, value]) => [name, [value]]),
}

describe('a form with names that are not ASCII', () => {
  it.each(Object.keys(clients))('comes whole from %s', async (client) => {
    await clients[client]?.(server.url)
    expect(received).toEqual(everything)
  })
})

const python = new URL('../../.servers/python/bin/python', import.meta.url).pathname
// With real servers, as test/servers/install leaves it, curl and the Python clients must be there as well.
const isOptional = S3World.server.kind === 'embedded'
const canRun = (program: string, option: string) => spawnSync(program, [option]).status === 0

describe.skipIf(isOptional && !canRun('curl', '--version'))(
  'a form with names that are not ASCII (not run without curl)',
  () => {
    it.each([
      ['as it is', []],
      ['with --form-escape', ['--form-escape']],
      ['in chunks', ['-H', 'transfer-encoding: chunked']],
      ['that waits for 100-continue', ['-H', 'expect: 100-continue']],
      ['over HTTP/1.0', ['--http1.0']],
    ])('comes whole from curl, %s', async (_how, options) => {
      const form = fields.flatMap(([name, value]) => ['--form-string', `${name}=${value}`])
      const file = `file=@"${path.replace(/["\\]/g, '\\$&')}"`
      await run('curl', ['--silent', '--fail', ...options, ...form, '-F', file, server.url])
      expect(received).toEqual(everything)
    })
  },
)

describe.skipIf(!canRun('go', 'version'))('a form with names that are not ASCII (not run without Go)', () => {
  it("comes whole from Go's mime/multipart", async () => {
    const program = new URL('clients.go', import.meta.url).pathname
    await run('go', ['run', program, server.url, path, JSON.stringify(fields)])
    expect(received).toEqual(everything)
  }, 180_000) // It is compiled first.
})

describe.skipIf(isOptional && !existsSync(python))(
  'a form with names that are not ASCII (not run without .servers/python)',
  () => {
    it.each([['requests'], ['requests_toolbelt'], ['httpx'], ['aiohttp']])(
      'comes whole from %s of Python',
      async (client) => {
        const script = new URL('clients.py', import.meta.url).pathname
        await run(python, [script, client, server.url, path, JSON.stringify(fields)])
        expect(received).toEqual(everything)
      },
    )
  },
)
