import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { repository } from './markdown.ts'

const server = createServer().listen(0, '127.0.0.1')
afterAll(() => server.close())

it('the demo says in one line that its port is in use, and how to take another', async () => {
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'example'], { cwd: repository })
  const env = { ...process.env, PORT: String(port), NODE_NO_WARNINGS: '1' }
  const demo = [join(repository, 'example/dist/main.js')]
  const ended = await new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, demo, { cwd: repository, env }, (error, stdout, stderr) =>
      resolve({ code: error?.code, stdout, stderr }),
    )
  })
  expect(ended).toEqual({
    code: 1,
    stdout: '',
    stderr: `Port ${port} is in use. PORT=${port + 1} npm run demo takes another one.\n`,
  })
})
