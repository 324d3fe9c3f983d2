// A contestant: an HTTP server in a process of its own that puts the file of each POST into S3.
//   main.mjs NAME S3_URL          NAME is that of a module here whose default export makes the request handler
import { createServer } from 'node:http'
import { answer } from '../support/answer.mjs'
import { usageMeter } from './usage-meter.mjs'

const [name, endpoint] = process.argv.slice(2)
const { default: createHandler } = await import(`./${name}.mjs`)

// The same client for all; what is not named here is the SDK's default, or what the package itself sets.
const handle = createHandler({
  bucket: 'bench',
  clientConfig: {
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  },
})

const server = createServer({ requestTimeout: 0, keepAliveTimeout: 600_000 }, async (req, res) => {
  try {
    const file = await handle(req, res)
    res.setHeader('content-type', 'application/json').end(JSON.stringify(file))
  } catch (error) {
    res.writeHead(500).end(String(error.stack))
  }
})
server.listen(0, '127.0.0.1', () => answer(usageMeter(), { port: server.address().port }))
