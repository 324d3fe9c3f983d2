import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface EmbeddedServers {
  /** Endpoint of the S3; it takes any credentials. */
  s3: string
  /** URL of the PostgreSQL. */
  postgres: string
  stop: () => void
}

/** Starts the S3 and the PostgreSQL that come with npm, in memory. */
export async function startEmbeddedServers(): Promise<EmbeddedServers> {
  const require = createRequire(import.meta.url)
  const node = join(dirname(require.resolve('node/package.json')), 'bin', 'node')
  const script = fileURLToPath(new URL('../embedded-servers.mjs', import.meta.url))
  const child = spawn(node, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = await new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the embedded servers ended with code ${code}`)))
    createInterface(child.stdout).once('line', resolve)
  })
  return { ...(JSON.parse(line) as { s3: string; postgres: string }), stop: () => child.stdin.end() }
}
