/** Three digits are what the noise leaves. */
export function shown(value) {
  if (Number.isInteger(value)) return value.toLocaleString('en')
  if (value >= 1000) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(value))))
}

/** A mark of an axis, which is a round number but for the error of its sum. */
export const shownTick = (value) => Number(value.toPrecision(6)).toLocaleString('en')
