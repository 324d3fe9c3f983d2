// An S3 that takes its time: it reads so many bytes per second and connection.
//   slow.mjs BYTES_PER_SECOND
import { createServer } from 'node:http'
import { answer } from '../support/answer.mjs'

const bytesPerSecond = Number(process.argv[2])
const etag = '"00000000000000000000000000000000"'
let receivedBytes = 0

const server = createServer({ requestTimeout: 0, keepAliveTimeout: 600_000 }, async (req, res) => {
  await readSlowly(req)
  const { searchParams } = new URL(req.url, 'http://sink')
  res.setHeader('content-type', 'application/xml').setHeader('etag', etag)
  if (req.method === 'DELETE') res.writeHead(204).end()
  else if (searchParams.has('uploads')) {
    res.end('<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>')
  } else if (req.method === 'POST') {
    res.end(`<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`)
  } else res.end()
})
server.listen(0, '127.0.0.1', () =>
  answer({ receivedBytes: () => receivedBytes }, { endpoint: `http://127.0.0.1:${server.address().port}` }),
)

function readSlowly(req) {
  return new Promise((resolve) => {
    const start = performance.now()
    let bytes = 0
    req.on('data', (chunk) => {
      bytes += chunk.length
      receivedBytes += chunk.length
      const aheadMs = (bytes / bytesPerSecond) * 1000 - (performance.now() - start)
      if (aheadMs < 1) return
      req.pause()
      setTimeout(() => req.resume(), aheadMs)
    })
    req.on('close', resolve)
    req.on('end', resolve)
  })
}
