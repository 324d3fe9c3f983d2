import { bars } from '../bars.mjs'

/** What becomes of each bar whose figure was measured: the value to compare and the verdict. */
export function judge(figures) {
  return bars.flatMap((bar) => {
    const figure = figures.find(({ id }) => id === bar.figure)
    return figure === undefined ? [] : [{ ...bar, ...verdictOf(bar, figure) }]
  })
}

function verdictOf({ of, against, spread, bar, aim }, figure) {
  const best = figure.more ? Math.max : Math.min
  const reaches = (value, limit) => (figure.more ? value >= limit : value <= limit)
  const medians = (labels) => labels.map((label) => figure.median(label))
  let value
  if (spread) value = Math.max(...medians(figure.labels)) / Math.min(...medians(figure.labels))
  else value = figure.median(of) / (against === undefined ? 1 : best(...medians(against)))
  const passes = reaches(value, bar)
  let verdict = 'pass'
  if (!passes) verdict = `missed by ${(Math.abs(value / bar - 1) * 100).toFixed(0)} %`
  else if (aim !== undefined) {
    verdict = reaches(value, aim)
      ? 'pass, aim reached'
      : `pass, ${(Math.abs(value / aim - 1) * 100).toFixed(0)} % from the aim`
  }
  const sign = figure.more ? '≥' : '≤'
  const isRatio = spread || against !== undefined
  return { value, isRatio, sign, passes, verdict, title: figure.title, unit: isRatio ? '×' : figure.unit }
}
