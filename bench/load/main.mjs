// The clients: a process of its own, so that nothing of them is counted as a server's.
import { Agent } from 'node:http'
import { answer } from '../support/answer.mjs'
import { postFile } from './post-file.mjs'
import { StalledClients } from './stalled-clients.mjs'

const agent = new Agent({ keepAlive: true })
const stalled = new StalledClients()
let cut = new AbortController()

answer({
  post,
  cut: () => cut.abort(),
  stall: (options) => stalled.start(options),
  endStalled: () => stalled.end(),
})

/**
 * Posts files to a server, several at once.
 *
 * @param seconds after which no more is begun.
 * @param cutAfterSeconds after which those under way are cut off, as by `cut`.
 * @returns how many were answered with success, in how many seconds.
 */
async function post({ port, bytes, count = Infinity, atOnce = 1, seconds = Infinity, cutAfterSeconds }) {
  cut = new AbortController()
  const timer = cutAfterSeconds && setTimeout(() => cut.abort(), cutAfterSeconds * 1000)
  const start = performance.now()
  const elapsed = () => (performance.now() - start) / 1000
  let begun = 0
  let done = 0
  const client = async () => {
    while (begun < count && elapsed() < seconds && !cut.signal.aborted) {
      begun++
      try {
        await postFile({ port, agent, bytes, signal: cut.signal })
        done++
      } catch (error) {
        if (!cut.signal.aborted) throw error
      }
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, client))
  } finally {
    clearTimeout(timer)
  }
  return { count: done, bytes: done * bytes, seconds: elapsed() }
}
