/** Three digits are what the noise leaves. */
export function shown(value) {
  if (value === 0) return '0'
  if (value >= 1000) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(value))))
}
