import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { judge } from '../support/judge.mjs'
import { chart } from './chart.mjs'
import { tables } from './table.mjs'

const folder = new URL('../results/', import.meta.url)

/** Prints the tables; with `isKept` leaves them, the chart and all values in bench/results. */
export function writeReport(figures, { mode, rounds, isKept }) {
  const [{ model }] = cpus()
  const machine =
    `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} × ${model.trim()}, ` +
    `${Math.round(totalmem() / 1e9)} GB; medians of ${rounds} rounds${mode === 'full' ? '' : `, ${mode}`}`
  const verdicts = judge(figures)
  const text = tables({ figures, verdicts, machine })
  const svg = chart({ figures, verdicts, machine })
  console.log(text)
  if (!isKept) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL('table.md', folder), text)
  writeFileSync(new URL('chart.svg', folder), svg)
  writeFileSync(
    new URL('latest.json', folder),
    `${JSON.stringify({ machine, mode, rounds, figures, verdicts }, null, 2)}\n`,
  )
}
