import { contestants, ours } from '../support/bench.mjs'
import { startChild } from '../support/child.mjs'
import { kB, MB, sleep } from '../support/units.mjs'

const manyTimes = 4
const slowBytesPerSecond = 2 * MB

/**
 * Peak memory with many uploads at once while S3 takes 2 MB/s per connection. Each round has a new server, so that none
 * has the memory of an earlier one; its uploads are cut off when it has stopped growing.
 */
export async function measureMemory(bench) {
  const { uploads, bytes, steadySeconds, atMostSeconds } = bench.sized({
    full: { uploads: 50, bytes: 40 * MB, steadySeconds: 4, atMostSeconds: 30 },
    quick: { uploads: 50, bytes: 40 * MB, steadySeconds: 1.5, atMostSeconds: 12 },
    smoke: { uploads: 5, bytes: 20 * MB, steadySeconds: 0.3, atMostSeconds: 1 },
  })
  const memory = bench.figure('memory')
  const throughput = bench.figure('memory-throughput')
  const crowds = contestants.map((name) => ({ name, label: name, count: uploads }))
  crowds.push({ name: ours, label: `${ours}, ${manyTimes} × as many`, count: manyTimes * uploads })
  const load = await bench.load()
  await bench.alternate(crowds, async ({ name, label, count }) => {
    const sink = await startChild('sinks/slow.mjs', [slowBytesPerSecond])
    const server = await bench.startServer(name, { endpoint: sink.endpoint })
    await bench.post(server, { bytes: kB, count: 1 }) // All code is loaded then, and no part is held.
    let isOver = false
    const posting = bench
      .post(server, { bytes, count, atOnce: count, cutAfterSeconds: atMostSeconds })
      .finally(() => {
        isOver = true
      })
    const cutting = untilSteady(server, steadySeconds, () => isOver).then(() => load.ask('cut'))
    const [{ posted, usage }] = await Promise.all([posting, cutting])
    memory.add(label, usage.peakBytes / MB)
    throughput.add(label, (await sink.ask('receivedBytes')) / MB / posted.seconds)
    await server.stop()
    await sink.stop()
  })
  return [memory, throughput]
}

/** Waits until the peak has grown by less than a fiftieth for so long, or all is over. */
async function untilSteady(server, seconds, isOver) {
  let before
  let peak = 0
  do {
    await sleep(seconds)
    before = peak
    peak = (await server.ask('usage')).peakBytes
  } while (peak > before * 1.02 && !isOver())
}
