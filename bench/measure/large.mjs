import { unsigned } from '../support/bench.mjs'
import { GB, MB } from '../support/units.mjs'

/** One large file: how long it takes, and the longest time for which the server's event loop stood still. */
export async function measureLarge(bench) {
  const bytes = bench.sized({ full: GB, quick: 300 * MB, smoke: 20 * MB })
  const seconds = bench.figure('large-seconds')
  const stall = bench.figure('large-stall')
  const servers = await bench.startServers({ bytes: bytes / 10, count: 1 }, { also: [unsigned] })
  await bench.alternate(servers, async (server) => {
    const { posted, usage } = await bench.post(server, { bytes, count: 1 })
    seconds.add(server.name, posted.seconds / (bytes / GB))
    if (usage.stallSeconds !== undefined) stall.add(server.name, usage.stallSeconds * 1000)
  })
  for (const server of servers) await server.stop()
  return [seconds, stall]
}
