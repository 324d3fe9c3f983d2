import { ours } from '../support/bench.mjs'
import { shown, shownTick } from './numbers.mjs'

const width = 760
const labelWidth = 250
const valueWidth = 90
const barHeight = 18
const panelGap = 26
const plotWidth = width - labelWidth - valueWidth

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .quiet { fill: #59636e; font-size: 11px; }
  .ours { fill: #0969da; }
  .other { fill: #afb8c1; }
  .axis { stroke: #d1d9e0; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .ours { fill: #4493f8; }
    .other { fill: #656c76; }
    .axis { stroke: #3d444d; }
    .ground { fill: #0d1117; }
  }`

/** SVG: a panel for each figure whose values are to be compared, each with an axis from zero in its unit. */
export function chart({ figures, verdicts, machine }) {
  const panels = []
  let y = panelGap
  for (const figure of figures) {
    const compared = verdicts.filter(({ figure: id, isRatio }) => id === figure.id && isRatio)
    if (compared.length === 0) continue
    const isOurs = (label) => label === ours || compared.some(({ of, spread }) => of === label || spread)
    panels.push(`<g transform="translate(0 ${y})">${panel(figure, isOurs)}</g>`)
    y += panelHeight(figure) + panelGap
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 12}" viewBox="0 0 ${width} ${y + 12}" role="img">
<title>Benchmark of typeorm-s3-file</title>
<style>${style}
</style>
<rect class="ground" width="100%" height="100%"/>
${panels.join('\n')}
<text class="quiet" x="12" y="${y}">${escapeXml(machine)}</text>
</svg>
`
}

function panelHeight({ labels }) {
  return 18 + labels.length * (barHeight + 4) + 18
}

function panel(figure, isOurs) {
  const values = figure.labels.map((label) => figure.median(label))
  const [axisEnd, step] = axisOf(Math.max(...values))
  const scale = (value) => (value / axisEnd) * plotWidth
  const bottom = 12 + figure.labels.length * (barHeight + 4)
  const hint = figure.more ? 'more is better' : 'less is better'
  const parts = [
    `<text class="title" x="12" y="4">${escapeXml(figure.title)} <tspan class="quiet">${escapeXml(figure.unit)}, ${hint}</tspan></text>`,
  ]
  for (let tick = 0; tick <= axisEnd + step / 2; tick += step) {
    const x = labelWidth + scale(tick)
    parts.push(`<line class="axis" x1="${x}" x2="${x}" y1="12" y2="${bottom}"/>`)
    parts.push(
      `<text class="quiet" x="${x}" y="${bottom + 13}" text-anchor="middle">${shownTick(tick)}</text>`,
    )
  }
  for (const [index, label] of figure.labels.entries()) {
    const top = 12 + index * (barHeight + 4)
    const length = scale(values[index])
    parts.push(
      `<text x="${labelWidth - 8}" y="${top + 14}" text-anchor="end">${escapeXml(label)}</text>`,
      `<rect class="${isOurs(label) ? 'ours' : 'other'}" x="${labelWidth}" y="${top + 1}" width="${Math.max(1, length)}" height="${barHeight}"/>`,
      `<text x="${labelWidth + length + 6}" y="${top + 14}">${shown(values[index])}</text>`,
    )
  }
  return parts.join('\n')
}

/** Where the axis ends and how far its marks are apart: two to five of them, at round numbers. */
function axisOf(largest) {
  const power = 10 ** Math.floor(Math.log10(largest || 1))
  const step = [0.2, 0.5, 1, 2].map((factor) => factor * power).find((size) => largest / size <= 5)
  return [Math.ceil(largest / step) * step, step]
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
