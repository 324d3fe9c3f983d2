// Measures this package and its peers side by side. See bench/README.md.
import { parseArgs } from 'node:util'
import { installDjango } from './django/install.mjs'
import { measureCpu } from './measure/cpu.mjs'
import { measureFind } from './measure/find.mjs'
import { measureLarge } from './measure/large.mjs'
import { measureLifecycle } from './measure/lifecycle.mjs'
import { measureMemory } from './measure/memory.mjs'
import { measureSizes } from './measure/sizes.mjs'
import { measureSmall } from './measure/small.mjs'
import { measureStalled } from './measure/stalled.mjs'
import { measureUrls } from './measure/urls.mjs'
import { writeReport } from './report/write.mjs'
import { Bench } from './support/bench.mjs'
import { stopChildren } from './support/child.mjs'

const measurements = {
  cpu: measureCpu,
  large: measureLarge,
  sizes: measureSizes,
  small: measureSmall,
  memory: measureMemory,
  stalled: measureStalled,
  urls: measureUrls,
  find: measureFind,
  lifecycle: measureLifecycle,
}
const usage = `npm run bench -- [${Object.keys(measurements).join(' | ')} …] [--quick | --smoke] [--rounds N] [--20gb] [--with-django]`

const { names, mode, rounds, hasHugeFile, wantsPython } = readArguments()
let isInterrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    isInterrupted = true
    await stopChildren()
    process.exit(130)
  })
}

const bench = new Bench({ mode, rounds, hasHugeFile, hasPython: hasPython() })
try {
  const figures = []
  for (const name of names) {
    bench.note(name)
    figures.push(...(await measurements[name](bench)))
  }
  bench.note('done')
  const isKept = mode !== 'smoke' && names.length === Object.keys(measurements).length
  writeReport(figures, { mode, rounds: bench.rounds, isKept })
} catch (error) {
  if (!isInterrupted) console.error(error)
  process.exitCode = 1
} finally {
  await stopChildren()
}

function hasPython() {
  const obstacle = wantsPython ? installDjango() : '--with-django was not given'
  if (obstacle !== undefined) console.error(`Skipped: the Python original, since ${obstacle}`)
  return obstacle === undefined
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean' },
        smoke: { type: 'boolean' },
        rounds: { type: 'string' },
        '20gb': { type: 'boolean' },
        'with-django': { type: 'boolean' },
      },
    })
    const unknown = positionals.find((name) => !(name in measurements))
    if (unknown !== undefined) throw new Error(`there is no '${unknown}'`)
    if (values.rounds !== undefined && !/^[1-9]\d*$/.test(values.rounds))
      throw new Error('--rounds takes a number')
    return {
      names: positionals.length > 0 ? positionals : Object.keys(measurements),
      mode: values.smoke ? 'smoke' : values.quick ? 'quick' : 'full',
      rounds: values.rounds && Number(values.rounds),
      hasHugeFile: values['20gb'] ?? false,
      wantsPython: values['with-django'] ?? false,
    }
  } catch (error) {
    console.error(`${error.message}\n${usage}`)
    process.exit(2)
  }
}
