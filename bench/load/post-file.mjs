import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'

const boundary = 'bench-f3a61c0d9b7e'
const head = Buffer.from(
  `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file.bin"\r\n` +
    'Content-Type: application/octet-stream\r\n\r\n',
)
const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
// One block again and again: the load must cost little, and no server looks back so far.
const block = randomBytes(256 * 1024)

/** Begins a multipart POST that announces a file of so many bytes. */
export function beginPost({ port, agent, bytes, signal }) {
  const req = request({
    port,
    host: '127.0.0.1',
    method: 'POST',
    agent,
    signal,
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + bytes + tail.length,
    },
  })
  req.write(head)
  return req
}

/** Writes the next bytes of a file, waiting for whoever reads them. */
export async function writeBytes(req, bytes) {
  for (let left = bytes; left > 0; left -= block.length) {
    if (!req.write(left < block.length ? block.subarray(0, left) : block)) {
      await once(req, 'drain')
    }
  }
}

/** Posts a file of so many bytes, which are never in memory as a whole. @throws unless it is answered with 200. */
export async function postFile({ bytes, ...connection }) {
  const req = beginPost({ bytes, ...connection })
  const answered = once(req, 'response')
  const sent = writeBytes(req, bytes).then(() => req.end(tail))
  const [res] = await Promise.race([answered, sent.then(() => answered)])
  let text = ''
  for await (const chunk of res.setEncoding('utf8')) text += chunk
  if (res.statusCode !== 200) throw new Error(`answered with ${res.statusCode}: ${text}`)
}
