import { contestants, ours } from '../support/bench.mjs'
import { startChild } from '../support/child.mjs'
import { kB, MB } from '../support/units.mjs'

const manyTimes = 4
const slowBytesPerSecond = 2 * MB

/**
 * Peak memory with many uploads at once while S3 takes 2 MB/s per connection. Each round has a new server, so that none
 * has the memory of an earlier one; its uploads are cut off after a while, long after the peak.
 */
export async function measureMemory(bench) {
  const { uploads, bytes, cutAfterSeconds } = bench.sized({
    full: { uploads: 50, bytes: 40 * MB, cutAfterSeconds: 12 },
    quick: { uploads: 50, bytes: 40 * MB, cutAfterSeconds: 4 },
    smoke: { uploads: 5, bytes: 20 * MB, cutAfterSeconds: 0.5 },
  })
  const memory = bench.figure('memory')
  const throughput = bench.figure('memory-throughput')
  const crowds = contestants.map((name) => ({ name, label: name, count: uploads }))
  crowds.push({ name: ours, label: `${ours}, ${manyTimes} × as many`, count: manyTimes * uploads })
  await bench.alternate(crowds, async ({ name, label, count }) => {
    const sink = await startChild('sinks/slow.mjs', [slowBytesPerSecond])
    const server = await bench.startServer(name, { endpoint: sink.endpoint })
    await bench.post(server, { bytes: kB, count: 1 }) // All code is loaded then, and no part is held.
    const { posted, usage } = await bench.post(server, { bytes, count, atOnce: count, cutAfterSeconds })
    memory.add(label, usage.peakBytes / MB)
    throughput.add(label, (await sink.ask('receivedBytes')) / MB / posted.seconds)
    await server.stop()
    await sink.stop()
  })
  return [memory, throughput]
}
