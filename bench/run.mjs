// Measures this package and its peers side by side. See bench/README.md.
//   node bench/run.mjs [cpu …] [--quick | --smoke] [--rounds N]
import { parseArgs } from 'node:util'
import { measureCpu } from './measure/cpu.mjs'
import { Bench } from './support/bench.mjs'
import { endChildren } from './support/child.mjs'

const measurements = { cpu: measureCpu }
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, smoke: { type: 'boolean' }, rounds: { type: 'string' } },
})
process.on('exit', endChildren)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130))

const mode = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full'
const bench = new Bench({ mode, rounds: values.rounds && Number(values.rounds) })
const names = positionals.length > 0 ? positionals : Object.keys(measurements)
try {
  for (const name of names) {
    bench.note(name)
    for (const figure of await measurements[name](bench)) {
      console.log(`${figure.title}, ${figure.unit}`)
      for (const label of figure.labels) {
        console.log(
          `  ${label.padEnd(20)} ${figure.median(label).toFixed(2).padStart(8)}   ${figure.samples[label].map((v) => v.toFixed(2)).join(' ')}`,
        )
      }
    }
  }
} finally {
  await bench.close()
}
