import { contestants } from '../support/bench.mjs'
import { shown } from './numbers.mjs'

/** Markdown: the contestants side by side, what is measured of this package alone, and the bars. */
export function tables({ figures, verdicts, machine }) {
  const isSideBySide = (figure) => contestants.every((name) => figure.labels.includes(name))
  const sections = []
  const sideBySide = figures.filter(isSideBySide)
  if (sideBySide.length > 0) {
    const more = [...new Set(sideBySide.flatMap(({ labels }) => labels))].filter(
      (label) => !contestants.includes(label) && !label.includes(','),
    )
    const columns = [...contestants, ...more]
    sections.push(
      markdown(
        ['', 'unit', ...columns],
        sideBySide.map((figure) => [
          figure.title,
          figure.unit,
          ...columns.map((label) => (label in figure.samples ? shown(figure.median(label)) : '')),
        ]),
      ),
    )
  }
  const others = figures.flatMap((figure) =>
    figure.labels
      .filter((label) => !isSideBySide(figure) || label.includes(','))
      .map((label) => [figure.title, label, shown(figure.median(label)), figure.unit]),
  )
  if (others.length > 0) sections.push(markdown(['', '', 'median', 'unit'], others))
  if (verdicts.length > 0) {
    sections.push(
      markdown(
        ['bar', 'of', 'against the best of', 'measured', 'bar', 'aim', ''],
        verdicts.map((verdict) => [
          verdict.title,
          verdict.of ?? 'largest',
          verdict.spread ? 'smallest' : (verdict.against?.join(', ') ?? ''),
          `${shown(verdict.value)} ${verdict.unit}`,
          `${verdict.sign} ${shown(verdict.bar)}`,
          verdict.aim === undefined ? '' : `${verdict.sign} ${shown(verdict.aim)}`,
          verdict.verdict,
        ]),
      ),
    )
  }
  return `${sections.join('\n\n')}\n\n${machine}\n`
}

function markdown(head, rows) {
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...lines.map((line) => line[column].length)))
  const format = (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  return [
    format(head),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...rows.map(format),
  ].join('\n')
}
