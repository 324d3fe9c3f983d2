import { ours } from '../support/bench.mjs'
import { kB, MB, sleep } from '../support/units.mjs'

/** Peak memory with clients that stall in the middle of a part, and whether others are served meanwhile. */
export async function measureStalled(bench) {
  const { clients, others, seconds } = bench.sized({
    full: { clients: 200, others: 20, seconds: 10 },
    quick: { clients: 200, others: 10, seconds: 5 },
    smoke: { clients: 5, others: 2, seconds: 5 },
  })
  const bytes = 40 * MB
  const load = await bench.load()
  const memory = bench.figure('stalled-memory')
  const finished = bench.figure('stalled-others')
  await bench.alternate([ours], async (name) => {
    const server = await bench.startServer(name)
    await bench.post(server, { bytes: kB, count: 1 })
    await server.ask('reset')
    await load.ask('stall', { port: server.port, count: clients, bytes })
    await sleep(2)
    const posted = await load.ask('post', {
      ...{ port: server.port, bytes, count: others, atOnce: 4, cutAfterSeconds: seconds },
    })
    memory.add(name, (await server.ask('usage')).peakBytes / MB)
    finished.add(name, (posted.count / others) * 100)
    await load.ask('endStalled')
    await server.stop()
  })
  return [memory, finished]
}
