const KiB = 1024
const MiB = 1024 * KiB

const sizes = {
  tiny: [60, 0, 4 * KiB],
  small: [25, 4 * KiB, 300 * KiB],
  medium: [10, 300 * KiB, 4 * MiB],
  parts: [5, 5 * MiB, 12 * MiB],
}

/** One request of a client of some kind, as `deliver` sends it. */
export function randomUpload(random) {
  const name = random.weighted(
    Object.fromEntries(Object.entries(sizes).map(([each, [weight]]) => [each, weight])),
  )
  const [, least, most] = sizes[name]
  const size = random.between(least, most)
  const end = random.weighted({ whole: 82, reset: 10, fin: 6, stall: 2 })
  const header = 'Content-Disposition: form-data; name="file"; filename="soak.bin"'
  return {
    form: {
      boundary: 'soak',
      preamble: '',
      epilogue: '\r\n',
      parts: [{ header, content: { size, from: 0 } }],
    },
    mutations: [],
    keep: end === 'whole' ? undefined : random.between(0, size),
    framing: random.pick(['length', 'chunked']),
    end,
    splits: Array.from({ length: random.pick([0, 0, 3]) }, (_, index) =>
      Math.floor((size * (index + 1)) / 4),
    ),
    pauseMs: random.chance(0.1) ? 50 : 0,
  }
}
