import { figures } from '../figures.mjs'
import { median } from './units.mjs'

/** One thing that is measured: for each contestant, or other label, the values of all rounds. */
export class Figure {
  constructor(id) {
    this.id = id
    Object.assign(this, figures[id])
    this.samples = {}
  }

  add(label, value) {
    this.samples[label] ??= []
    this.samples[label].push(value)
  }

  get labels() {
    return Object.keys(this.samples)
  }

  median(label) {
    return median(this.samples[label])
  }
}
