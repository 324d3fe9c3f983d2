// The servers that npm alone can bring: an S3 (fauxqs) and a PostgreSQL (PGlite). Runs as a process of its own, under
// the Node of the npm package `node`, since fauxqs wants a newer one than this package does. Prints where they
// listen as a line of JSON, and ends with its standard input.
import { PGlite } from '@electric-sql/pglite'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
import { startFauxqs } from 'fauxqs'

const [s3, db] = await Promise.all([
  startFauxqs({ port: 0, logger: false, host: '127.0.0.1' }),
  PGlite.create(),
])
const postgres = new PGLiteSocketServer({ db, port: 0, host: '127.0.0.1', maxConnections: 50 })
const listening = new Promise((resolve) =>
  postgres.addEventListener('listening', (event) => resolve(event.detail)),
)
await postgres.start()
const { port } = await listening
console.log(
  JSON.stringify({
    s3: `http://127.0.0.1:${s3.port}`,
    postgres: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
  }),
)
process.stdin.on('end', () => process.exit(0)).resume()
