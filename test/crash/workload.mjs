import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { FileJanitor, isS3FileError, uploadFromStream } from '../../dist/esm/index.js'
import { Paper, Picture, rowIds } from './world.mjs'

const MiB = 1024 * 1024
const bytes = randomBytes(12 * MiB)

/** Fields of each table; true for a list. */
const fieldsOf = new Map([
  [Paper, { file: false, path: false, pages: true }],
  [Picture, { file: false, thumbnail: false }],
])

/** Thrown to roll back. */
class Rollback extends Error {}

/** What an application does to files, at random and without end, on a few rows that all do it to. */
export class Workload {
  #dataSource
  #random
  #report
  /** Uploads that were not saved yet. */
  #spare = []
  /** Rows as they were a while ago. */
  #old = []

  /** `report` is told the name of each thing done, and the errors that came of it. */
  constructor(dataSource, random, report) {
    this.#dataSource = dataSource
    this.#random = random
    this.#report = report
  }

  async run() {
    const { manager } = this.#dataSource
    const deeds = {
      transaction: [12, () => this.#transaction(manager, 1)],
      change: [4, () => this.#change(manager)],
      remove: [1, () => this.#remove(manager)],
      unsaved: [2, () => this.#keepUnsaved()],
      discard: [1, () => this.#discard()],
      abort: [2, () => this.#abort()],
      saveTwice: [1, () => this.#saveTwice(manager)],
      janitor: [1, () => this.#janitor()],
    }
    const weights = Object.fromEntries(Object.entries(deeds).map(([name, [weight]]) => [name, weight]))
    while (true) {
      const name = this.#random.weighted(weights)
      await this.#attempt(name, deeds[name][1])
    }
  }

  async #attempt(name, work) {
    try {
      await work()
      this.#report(name)
    } catch (error) {
      this.#report(name, error)
    }
  }

  /** A transaction, or a savepoint of one. */
  async #transaction(manager, depth) {
    const random = this.#random
    try {
      await manager.transaction(async (inner) => {
        for (let count = random.between(1, 3); count > 0; count--) {
          if (depth < 3 && random.chance(0.3)) {
            await this.#attempt('savepoint', () => this.#transaction(inner, depth + 1))
            continue
          }
          const name = random.weighted({ change: 8, remove: 2, changeOld: 2, move: 1, changeMany: 1 })
          if (name === 'change') await this.#change(inner)
          else if (name === 'remove') await this.#remove(inner)
          else if (name === 'changeOld') await this.#changeOld(inner)
          else if (name === 'move') await this.#move(inner)
          else await this.#changeMany(inner)
          this.#report(name)
        }
        if (random.chance(0.2)) throw new Rollback()
      })
    } catch (error) {
      if (!(error instanceof Rollback)) throw error
      this.#report('rollback')
    }
  }

  async #change(manager) {
    const row = await this.#row(manager)
    await this.#edit(manager, row)
    await manager.save(row.target, row.entity)
    this.#remember(row)
  }

  /** Saves what was loaded or saved a while ago, and may be out of date. */
  async #changeOld(manager) {
    const row = this.#old.length > 0 ? this.#random.pick(this.#old) : await this.#row(manager)
    if (this.#random.chance(0.5)) await this.#edit(manager, row)
    else row.entity.note = `note ${this.#random.between(0, 99)}`
    await manager.save(row.target, row.entity)
  }

  async #changeMany(manager) {
    const { target, entity } = await this.#row(manager)
    const others = await manager.find(target, { take: 2 })
    const entities = [entity, ...others.filter(({ id }) => id !== entity.id)]
    for (const each of entities) await this.#edit(manager, { target, entity: each })
    await manager.save(target, entities)
  }

  async #remove(manager) {
    const { target, entity } = await this.#row(manager)
    if (await manager.existsBy(target, { id: entity.id })) await manager.remove(target, entity)
  }

  /** A file goes from one row to another, in one save or in two. */
  async #move(manager) {
    const [from, to] = await manager.find(Paper, {
      take: 2,
      order: { id: this.#random.pick(['ASC', 'DESC']) },
    })
    if (to === undefined) return
    to.file = from.file
    from.file = null
    if (this.#random.chance(0.5)) await manager.save(Paper, [from, to])
    else
      for (const row of this.#random.pick([
        [from, to],
        [to, from],
      ]))
        await manager.save(Paper, row)
  }

  /** Two transactions at once save the same upload. */
  async #saveTwice(manager) {
    const file = await this.#upload([Picture, 'file'])
    const save = () =>
      manager.transaction(async (inner) => {
        const row = await this.#row(inner, Picture)
        row.entity[this.#random.pick(['file', 'thumbnail'])] = file
        await inner.save(Picture, row.entity)
        if (this.#random.chance(0.2)) throw new Rollback()
      })
    for (const result of await Promise.allSettled([save(), save()])) {
      if (result.status === 'rejected' && !(result.reason instanceof Rollback)) throw result.reason
    }
  }

  async #keepUnsaved() {
    this.#spare.push(await this.#upload())
  }

  async #discard() {
    const file = this.#spare.shift() ?? (await this.#upload())
    await file.discard()
  }

  /** The application ends an upload, or its source fails. */
  async #abort() {
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(), this.#random.between(0, 60))
    const isSourceToFail = this.#random.chance(0.5)
    try {
      this.#spare.push(
        await this.#upload(undefined, isSourceToFail ? { fails: stop.signal } : { signal: stop.signal }),
      )
    } catch (error) {
      if (!isS3FileError(error, isSourceToFail ? 'truncated-body' : 'upload-aborted')) throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async #janitor() {
    await new FileJanitor(this.#dataSource, { batchSize: this.#random.pick([1, 3, 1000]) }).runOnce()
  }

  async #row(manager, target = this.#random.pick([Paper, Picture])) {
    const id = this.#random.between(rowIds.least, rowIds.most)
    const entity = (await manager.findOneBy(target, { id })) ?? manager.create(target, { id })
    return { target, entity }
  }

  #remember(row) {
    if (this.#old.length < 20) this.#old.push(row)
    else this.#old[this.#random.between(0, 19)] = row
  }

  /** Replaces, clears or shares what some of the fields have. */
  async #edit(manager, { target, entity }) {
    const random = this.#random
    for (const [field, isList] of Object.entries(fieldsOf.get(target))) {
      if (random.chance(0.4)) continue
      if (isList) entity[field] = await this.#editList(manager, entity[field] ?? [])
      else entity[field] = random.chance(0.25) ? null : await this.#file(manager, [target, field])
    }
  }

  async #editList(manager, files) {
    const random = this.#random
    const deed = random.weighted({ add: 4, remove: 3, turn: 1, clear: 1 })
    if (deed === 'clear') return random.pick([null, []])
    if (deed === 'turn') return files.toReversed()
    if (deed === 'add' && files.length < 4) return [...files, await this.#file(manager, [Paper, 'pages'])]
    return files.filter(() => random.chance(0.6))
  }

  /** A new upload mostly; one that waits; or what another row has. */
  async #file(manager, into) {
    const kind = this.#random.weighted({ upload: 6, spare: 1, shared: 2 })
    if (kind === 'spare' && this.#spare.length > 0) return this.#spare.shift()
    if (kind === 'shared') {
      const target = this.#random.pick([Paper, Picture])
      const { entity } = await this.#row(manager, target)
      const files = Object.keys(fieldsOf.get(target)).flatMap((field) => entity[field] ?? [])
      const [, field] = into
      // The key alone tells nothing of size and checksum.
      const whole = files.filter((file) => field === 'path' || file.size !== null)
      if (whole.length > 0) return this.#random.pick(whole)
    }
    return this.#upload(into)
  }

  #upload(
    into = this.#random.pick([
      [Paper, 'file'],
      [Paper, 'pages'],
      [Picture, 'file'],
    ]),
    { signal, fails } = {},
  ) {
    const random = this.#random
    const isMultipart = random.chance(0.1)
    const size = isMultipart ? random.between(5 * MiB + 1, 11 * MiB) : random.between(0, 20_000)
    const start = random.between(0, bytes.length - size)
    const options = { into, name: `${size}.bin`, ...(signal === undefined ? {} : { signal }) }
    return uploadFromStream(this.#chunks(bytes.subarray(start, start + size), fails), options)
  }

  async *#chunks(content, fails) {
    const random = this.#random
    const step = Math.max(1, Math.ceil(content.length / random.between(1, 8)))
    for (let start = 0; start < content.length; start += step) {
      yield content.subarray(start, start + step)
      if (fails?.aborted) throw new Error('the source has failed')
      if (random.chance(0.3)) await sleep(random.between(0, 5))
    }
  }
}
