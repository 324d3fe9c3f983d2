import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { bytesOfCase } from './case.mjs'

/**
 * Sends a case over a connection of its own, and resolves with the answer's status, or with undefined when the connection
 * has ended without one.
 *
 * @param begun resolves when the server has begun to read: who goes before that has sent nothing.
 */
export async function deliver(port, id, given, begun) {
  const { sent, whole } = bytesOfCase(given)
  const { form, framing, end, splits, pauseMs, connection = 'keep-alive' } = given
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let answer = ''
  socket.on('error', () => undefined) // The server may end it at any time.
  const answered = new Promise((resolve) => {
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
      if (answer.includes('\r\n\r\n')) resolve()
    })
    socket.once('close', resolve)
  })
  const length =
    end === 'whole' ? sent.length : Math.max(whole.length, sent.length + (end === 'stall' ? 1 : 0))
  const frame = framing === 'length' ? `content-length: ${length}` : 'transfer-encoding: chunked'
  socket.write(
    `POST /?case=${id} HTTP/1.1\r\nhost: localhost\r\nconnection: ${connection}\r\n${frame}\r\n` +
      `content-type: ${form.contentType ?? `multipart/form-data; boundary="${form.boundary}"`}\r\n` +
      `${form.contentEncoding === undefined ? '' : `content-encoding: ${form.contentEncoding}\r\n`}\r\n`,
  )
  const places = [0, ...splits.filter((place) => place > 0 && place < sent.length), sent.length]
  for (let index = 1; index < places.length; index++) {
    if (index > 1) await (pauseMs > 0 ? sleep(pauseMs) : new Promise(setImmediate))
    const piece = sent.subarray(places[index - 1], places[index])
    if (piece.length === 0 || socket.destroyed) continue
    await write(socket, framing === 'length' ? piece : chunkOf(piece))
  }
  if (end === 'whole' && framing === 'chunked') socket.write('0\r\n\r\n')
  if (end === 'fin' || end === 'reset') {
    await begun
    if (end === 'fin') socket.end()
    else socket.resetAndDestroy()
  }
  await answered
  socket.destroy()
  return answer === '' ? undefined : Number(answer.split(' ')[1])
}

function chunkOf(bytes) {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}

/** Resolves when there is room for more, or nobody who would take it. */
function write(socket, bytes) {
  return new Promise((resolve) => {
    if (socket.write(bytes)) {
      resolve()
      return
    }
    const done = () => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })
}
