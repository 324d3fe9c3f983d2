import { unsigned } from '../support/bench.mjs'
import { GB, MB } from '../support/units.mjs'

/** CPU of the server process, user and system, per GB received: 100 MB files one after another. */
export async function measureCpu(bench) {
  const work = bench.sized({
    full: { bytes: 100 * MB, count: 5 },
    quick: { bytes: 100 * MB, count: 2 },
    smoke: { bytes: 20 * MB, count: 1 },
  })
  const results = []
  for (const transport of ['http', 'tls']) {
    const cpu = bench.figure(`cpu-${transport}`)
    const throughput = bench.figure(`throughput-${transport}`)
    const servers = await bench.startServers(
      { ...work, count: 1 },
      { transport, also: transport === 'http' ? [unsigned] : [] },
    )
    await bench.alternate(servers, async (server) => {
      const { posted, usage } = await bench.post(server, work)
      cpu.add(server.name, usage.cpuSeconds / (posted.bytes / GB))
      throughput.add(server.name, posted.bytes / MB / posted.seconds)
    })
    for (const server of servers) await server.stop()
    results.push(cpu, throughput)
  }
  return results
}
