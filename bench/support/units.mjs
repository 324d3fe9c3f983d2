/** Sizes are decimal, as in the names of the measurements; part sizes and the part memory are binary. */
export const kB = 1e3
export const MB = 1e6
export const GB = 1e9
export const MiB = 2 ** 20

export function median(values) {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length / 2
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle) - 1]) / 2
}

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))
