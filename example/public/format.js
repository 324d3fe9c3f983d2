const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']

export function sizeOf(bytes) {
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  const style = { style: 'unit', unit: units[power], unitDisplay: power === 0 ? 'long' : 'short' }
  return (bytes / 1000 ** power).toLocaleString('en-GB', { ...style, maximumFractionDigits: 1 })
}

/** `1:05`, or `1:01:05`. */
export function clockOf(seconds) {
  const whole = Math.max(0, Math.ceil(seconds))
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const [first, ...rest] = parts[0] === 0 ? parts.slice(1) : parts
  return [first, ...rest.map((part) => String(part).padStart(2, '0'))].join(':')
}

export function dateOf(date) {
  return new Date(date).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
}

export function timeOf(date) {
  return new Date(date).toLocaleTimeString('en-GB', { timeStyle: 'medium' })
}

export function secondsUntil(date) {
  return (Date.parse(date) - Date.now()) / 1000
}

/** `PNG, JPEG or GIF` of `['image/png', 'image/jpeg', 'image/gif']`. */
export function kindsOf(types) {
  const names = types.map((type) => type.replace(/^.*[/.]/, '').toUpperCase())
  return new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(names)
}
