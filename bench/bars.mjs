import { ours, peers, unsigned } from './support/bench.mjs'
import { MB, MiB } from './support/units.mjs'

const partMemoryMB = (128 * MiB) / MB

/**
 * What is to be reached, `bar`, and aimed at, `aim`. The median of `of` in a figure, as a ratio to the best of
 * `against`, or itself where there is nothing to compare with. `spread`: the largest of all medians to the smallest.
 */
export const bars = [
  { figure: 'cpu-http', of: ours, against: peers, bar: 0.6, aim: 0.45 },
  { figure: 'cpu-http', of: unsigned, against: peers, bar: 0.6, aim: 0.45 },
  { figure: 'cpu-tls', of: ours, against: peers, bar: 0.6, aim: 0.45 },
  { figure: 'large-seconds', of: ours, against: peers, bar: 0.6, aim: 0.45 },
  { figure: 'large-seconds', of: unsigned, against: peers, bar: 0.6, aim: 0.45 },
  { figure: 'large-stall', of: ours, against: peers, bar: 0.5 },
  { figure: 'memory', of: ours, against: peers, bar: 0.2 },
  { figure: 'memory', of: `${ours}, 4 × as many`, against: [ours], bar: 1.1 },
  { figure: 'stalled-memory', of: ours, bar: partMemoryMB + 60 },
  { figure: 'stalled-others', of: ours, bar: 100 },
  { figure: 'small-rate', of: ours, against: peers, bar: 1, aim: 1.5 },
  { figure: 'small-requests', of: ours, bar: 1 },
  {
    figure: 'urls',
    of: 'withUrls()',
    against: ['getSignedUrl in Promise.all', 'getSignedUrl in a loop'],
    bar: 6,
    aim: 15,
  },
  { figure: 'find', of: 'file in one JSON column', against: ['plain columns'], bar: 1.15 },
  { figure: 'find', of: 'file in columns', against: ['plain columns'], bar: 1.15 },
  { figure: 'cpu-by-size', spread: true, bar: 1.1 },
]
