import { kB } from '../support/units.mjs'

/** Small files, eight at once, and how many requests to S3 each of them takes. */
export async function measureSmall(bench) {
  const seconds = bench.sized({ full: 3, quick: 1, smoke: 0.3 })
  const work = { bytes: 10 * kB, atOnce: 8, seconds }
  const rate = bench.figure('small-rate')
  const requests = bench.figure('small-requests')
  const sink = await bench.nginx()
  const servers = await bench.startServers(work)
  await bench.alternate(servers, async (server) => {
    await sink.ask('reset')
    const { posted } = await bench.post(server, work)
    rate.add(server.name, posted.count / posted.seconds)
    requests.add(server.name, (await sink.ask('requests')) / posted.count)
  })
  for (const server of servers) await server.stop()
  return [rate, requests]
}
