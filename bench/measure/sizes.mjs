import { ours } from '../support/bench.mjs'
import { GB, MB } from '../support/units.mjs'

/** CPU per GB of this package by the size of the file. */
export async function measureSizes(bench) {
  const works = bench.sized({
    full: [
      { label: '10 MB', bytes: 10 * MB, count: 50 },
      { label: '100 MB', bytes: 100 * MB, count: 5 },
      { label: '1 GB', bytes: GB, count: 1 },
      { label: '5 GB', bytes: 5 * GB, count: 1 },
    ],
    quick: [
      { label: '10 MB', bytes: 10 * MB, count: 20 },
      { label: '100 MB', bytes: 100 * MB, count: 2 },
      { label: '500 MB', bytes: 500 * MB, count: 1 },
    ],
    smoke: [
      { label: '10 MB', bytes: 10 * MB, count: 1 },
      { label: '20 MB', bytes: 20 * MB, count: 1 },
    ],
  })
  if (bench.hasHugeFile) works.push({ label: '20 GB', bytes: 20 * GB, count: 1 })
  const cpu = bench.figure('cpu-by-size')
  const server = await bench.startServer(ours)
  await bench.post(server, works[0])
  await bench.alternate(works, async ({ label, ...work }) => {
    const { posted, usage } = await bench.post(server, work)
    cpu.add(label, usage.cpuSeconds / (posted.bytes / GB))
  })
  await server.stop()
  return [cpu]
}
