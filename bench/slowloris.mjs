// What stalled clients cost the others: the speed of normal uploads next to 500 connections that have sent the start of
// a file, or 2 MiB of fields, and then nothing, against the same without them. Exits with 1 when a stalled one does not end
// by the timeout, or less than 80 % of the speed is left.
//   node bench/slowloris.mjs [connections] [file | fields]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { configureStorages, isS3FileError, S3Storage, uploadFormFromRequest } from 'typeorm-s3-file'

const MiB = 1024 * 1024
const idleTimeoutSeconds = 8
const rounds = 3
const boundary = 'slowloris'
const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n\r\n`
const field = (name) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`
const starts = {
  file: Buffer.concat([Buffer.from(head), Buffer.alloc(50_000)]),
  fields: Buffer.concat([
    Buffer.from(field('a')),
    Buffer.alloc(MiB - 1000, 'x'),
    Buffer.from(`\r\n${field('b')}`),
    Buffer.alloc(MiB - 1000, 'x'),
  ]),
}
const tail = `\r\n--${boundary}--\r\n`

if (process.env.SLOWLORIS_CLIENT === undefined)
  await serve(Number(process.argv[2] ?? 500), process.argv[3] ?? 'file')
else await attack(...process.env.SLOWLORIS_CLIENT.split(' '))

/** In a process of its own, so that the clients' work is not the server's. */
async function attack(port, connections, kind) {
  const body = Buffer.concat([Buffer.from(head), Buffer.alloc(8 * MiB, 'x'), Buffer.from(tail)])
  const rate = async () => {
    const start = performance.now()
    let bytes = 0
    const work = async () => {
      while (performance.now() - start < 3000) {
        const answer = await fetch(`http://127.0.0.1:${port}/`, {
          method: 'POST',
          body,
          headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
        })
        if (answer.status !== 200) throw new Error(`a normal upload was answered with ${answer.status}`)
        bytes += body.length
      }
    }
    await Promise.all([work(), work()])
    return bytes / MiB / ((performance.now() - start) / 1000)
  }
  const stall = async () => {
    const socket = connect(port, '127.0.0.1')
    const received = []
    socket.on('data', (chunk) => received.push(chunk)).on('error', () => undefined)
    await once(socket, 'connect')
    socket.write(
      `POST / HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=${boundary}\r\ncontent-length: ${100 * MiB}\r\n\r\n`,
    )
    await new Promise((resolve) => socket.write(starts[kind], resolve))
    return { hasEnded: () => socket.closed && ['408', '503'].includes(String(received[0]).split(' ')[1]) }
  }
  await rate() // Warms up.
  for (let round = 0; round < rounds; round++) {
    const before = await rate()
    const stalled = await Promise.all(Array.from({ length: Number(connections) }, stall))
    await sleep(1500) // Their first bytes are taken.
    const during = await rate()
    await sleep((idleTimeoutSeconds * 1.1 + 7) * 1000)
    process.send({ before, during, ended: stalled.filter(({ hasEnded }) => hasEnded()).length })
  }
}

async function serve(connections, kind) {
  const store = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { etag: '"x"' }).end())
  }).listen(0, '127.0.0.1')
  await once(store, 'listening')
  const clientConfig = {
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${store.address().port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  }
  configureStorages({ default: new S3Storage({ bucket: 'bucket', clientConfig, partSizeBytes: 8 * MiB }) })
  const codes = {}
  const server = createServer(async (request, response) => {
    try {
      await uploadFormFromRequest(request, { limits: { idleTimeoutSeconds } })
    } catch (error) {
      if (!isS3FileError(error)) throw error
      codes[error.code] = (codes[error.code] ?? 0) + 1
      response.statusCode = error.statusCode
    }
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const env = { ...process.env, SLOWLORIS_CLIENT: `${server.address().port} ${connections} ${kind}` }
  const client = fork(import.meta.filename, { env })
  let highestRss = 0
  const watch = setInterval(() => {
    highestRss = Math.max(highestRss, process.memoryUsage().rss)
  }, 200)
  const results = []
  client.on('message', (result) => results.push(result))
  await once(client, 'exit')
  clearInterval(watch)
  server.closeAllConnections()
  server.close()
  store.closeAllConnections()
  store.close()
  for (const { before, during, ended } of results) {
    console.log(
      `${before.toFixed(0)} MiB/s alone, ${during.toFixed(0)} MiB/s next to ${connections} stalled; ${ended} of them ended with 408 or 503`,
    )
  }
  const ratios = results.map(({ before, during }) => during / before).sort((left, right) => left - right)
  const ratio = ratios[Math.floor(rounds / 2)] ?? 0
  console.log(`${(ratio * 100).toFixed(0)} % of the speed is left (median of ${rounds} rounds)`)
  console.log(`codes ${JSON.stringify(codes)}; highest RSS ${(highestRss / MiB).toFixed(0)} MiB`)
  const haveAllEnded = results.length === rounds && results.every(({ ended }) => ended === connections)
  process.exitCode = haveAllEnded && ratio >= 0.8 ? 0 : 1
}
