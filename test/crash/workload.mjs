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
  #database
  #hasTriggers
  #random
  #report
  /** Uploads that were not saved yet. */
  #spare = []
  /** Uploads for a transaction on the only connection, which would wait for its end. */
  #stock = []
  /** Rows as they were a while ago. */
  #old = []

  /** `report` is told the name of each thing done, and the errors that came of it. */
  constructor({ dataSource, database, hasTriggers }, random, report) {
    this.#dataSource = dataSource
    this.#database = database
    this.#hasTriggers = hasTriggers
    this.#random = random
    this.#report = report
  }

  /** Everything. */
  async run() {
    const { manager } = this.#dataSource
    await this.#repeat({
      transaction: [12, () => this.#transaction(manager, 1)],
      change: [4, () => this.#change(manager)],
      write: [6, () => this.#write(manager)],
      remove: [1, () => this.#remove(manager)],
      unsaved: [2, () => this.#keepUnsaved()],
      discard: [1, () => this.#discard()],
      abort: [2, () => this.#abort()],
      saveTwice: [1, () => this.#saveTwice(manager)],
      janitor: [1, () => this.#janitor()],
    })
  }

  /** Uploads that no row comes to refer to, beside the transactions of others. */
  async runUploads() {
    await this.#repeat({
      unsaved: [2, () => this.#keepUnsaved()],
      discard: [2, () => this.#discard()],
      abort: [1, () => this.#abort()],
    })
  }

  async #repeat(deeds) {
    while (true) {
      const name = this.#pickDeed(deeds)
      await this.#attempt(name, deeds[name][1])
    }
  }

  /** One of the deeds, as often as its weight says. */
  #pickDeed(deeds) {
    return this.#random.weighted(
      Object.fromEntries(Object.entries(deeds).map(([name, [weight]]) => [name, weight])),
    )
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
    if (depth === 1) await this.#fillStock()
    try {
      await manager.transaction(async (inner) => {
        for (let count = random.between(1, 3); count > 0; count--) {
          if (depth < 3 && random.chance(0.3)) {
            await this.#attempt('savepoint', () => this.#transaction(inner, depth + 1))
            continue
          }
          const deeds = {
            change: [8, () => this.#change(inner)],
            write: [6, () => this.#write(inner)],
            remove: [2, () => this.#remove(inner)],
            changeOld: [2, () => this.#changeOld(inner)],
            move: [1, () => this.#move(inner)],
            changeMany: [1, () => this.#changeMany(inner)],
          }
          const name = this.#pickDeed(deeds)
          await deeds[name][1]()
          this.#report(name)
          // A transaction waits for other things too, and others go on beside it.
          if (random.chance(0.5)) await sleep(random.between(0, 40))
        }
        if (random.chance(0.2)) throw new Rollback()
      })
    } catch (error) {
      if (!(error instanceof Rollback)) throw error
      this.#report('rollback')
    }
  }

  /** One of the ways in which TypeORM writes rows, other than the `save()` of a whole entity. */
  async #write(manager) {
    const random = this.#random
    const ways = {
      create: () => this.#create(manager),
      preload: () => this.#preload(manager),
      partial: () => this.#savePartial(manager),
      plain: () => this.#savePlain(manager),
      copy: () => this.#copy(manager),
      insert: () => this.#insert(manager),
      ...(this.#hasTriggers
        ? {
            update: () => this.#update(manager),
            delete: () => this.#delete(manager),
            upsert: () => this.#upsert(manager),
            builder: () => this.#build(manager),
            raw: () => this.#writeRaw(manager),
          }
        : {}),
    }
    const name = random.pick(Object.keys(ways))
    await ways[name]()
    this.#report(name)
  }

  /** A new entity of what `create()` makes of plain values: a copy of an embedded. */
  async #create(manager) {
    const target = this.#anyTarget()
    const id = this.#anyId()
    if (await manager.existsBy(target, { id })) return
    await manager.save(target, manager.create(target, { id, ...(await this.#values(manager, target)) }))
  }

  async #preload(manager) {
    const target = this.#anyTarget()
    const values = { id: this.#anyId(), ...(await this.#values(manager, target)) }
    const entity = await manager.preload(target, values)
    if (entity !== undefined) await manager.save(target, entity)
  }

  /** An entity of which some columns were not loaded, saved twice: those keep what they have. */
  async #savePartial(manager) {
    const target = this.#anyTarget()
    const [field] = this.#random.pick(Object.entries(fieldsOf.get(target)))
    const entity = await manager.findOne(target, {
      where: { id: this.#anyId() },
      select: { id: true, note: true, ...(this.#random.chance(0.5) ? { [field]: true } : {}) },
    })
    if (entity === null) return
    for (let count = 0; count < 2; count++) {
      entity.note = this.#anyNote()
      await manager.save(target, entity)
    }
  }

  async #savePlain(manager) {
    const target = this.#anyTarget()
    await manager.save(target, {
      id: this.#anyId(),
      note: this.#anyNote(),
      ...(await this.#values(manager, target)),
    })
  }

  /** A row becomes a copy of another one: both have its objects. */
  async #copy(manager) {
    const { target, entity } = await this.#row(manager)
    const { entity: other } = await this.#row(manager, target)
    const { id: _, ...values } = entity
    await manager.save(
      target,
      this.#random.chance(0.5) ? Object.assign(other, values) : { ...other, ...values },
    )
  }

  async #insert(manager) {
    const target = this.#anyTarget()
    await manager.insert(target, { id: this.#anyId(), ...(await this.#values(manager, target)) })
  }

  async #update(manager) {
    const target = this.#anyTarget()
    const values = await this.#changedValues(manager, target)
    await manager.update(target, { id: this.#anyId() }, { note: this.#anyNote(), ...values })
  }

  async #delete(manager) {
    await manager.delete(this.#anyTarget(), { id: this.#anyId() })
  }

  async #upsert(manager) {
    const target = this.#anyTarget()
    await manager.upsert(target, { id: this.#anyId(), ...(await this.#values(manager, target)) }, ['id'])
  }

  async #build(manager) {
    const target = this.#anyTarget()
    const values = await this.#changedValues(manager, target)
    const id = this.#anyId()
    const query = manager.createQueryBuilder()
    const deed = this.#random.pick(['insert', 'update', 'delete'])
    if (deed === 'delete') await query.delete().from(target).where('id > :id', { id }).execute()
    else if (deed === 'update')
      await query
        .update(target)
        .set({ note: 'many', ...values })
        .where({ id })
        .execute()
    else
      await query
        .insert()
        .into(target)
        .values({ id, ...values })
        .orIgnore()
        .execute()
  }

  async #writeRaw(manager) {
    const id = this.#anyId()
    const [paper, picture] = [Paper, Picture].map((target) => this.#dataSource.getMetadata(target).tablePath)
    const statement = this.#random.pick([
      `DELETE FROM ${paper} WHERE id = ${id}`,
      `UPDATE ${paper} SET path = NULL, note = 'raw' WHERE id >= ${id}`,
      `UPDATE ${picture} SET thumbnail = NULL WHERE id = ${id}`,
    ])
    await manager.query(statement)
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
    else row.entity.note = this.#anyNote()
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
    const isOverlapping = this.#database.concurrency > 1
    const save = () =>
      manager.transaction(async (inner) => {
        const row = await this.#row(inner, Picture)
        row.entity[this.#random.pick(['file', 'thumbnail'])] = file
        await inner.save(Picture, row.entity)
        if (this.#random.chance(0.2)) throw new Rollback()
      })
    const saves = isOverlapping ? [save(), save()] : [save()]
    for (const result of await Promise.allSettled(saves)) {
      if (result.status === 'rejected' && !(result.reason instanceof Rollback)) throw result.reason
    }
  }

  async #keepUnsaved() {
    this.#spare.push(await this.#upload())
  }

  /** Mostly what waits; sometimes what a row refers to, which is refused. */
  async #discard() {
    const saved = this.#random.chance(0.3) ? await this.#savedFile(this.#dataSource.manager) : undefined
    const file = saved ?? this.#spare.shift() ?? (await this.#upload())
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
      if (!isS3FileError(error, isSourceToFail ? 'source-failed' : 'upload-aborted')) throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async #janitor() {
    await new FileJanitor(this.#dataSource, { batchSize: this.#random.pick([1, 3, 1000]) }).runOnce()
  }

  async #row(manager, target = this.#anyTarget()) {
    const id = this.#anyId()
    const entity = (await manager.findOneBy(target, { id })) ?? manager.create(target, { id })
    return { target, entity }
  }

  #anyTarget() {
    return this.#random.pick([Paper, Picture])
  }

  #anyId() {
    return this.#random.between(rowIds.least, rowIds.most)
  }

  #anyNote() {
    return `note ${this.#random.between(0, 99)}`
  }

  /** Plain values for some of the fields. */
  async #values(manager, target) {
    const entity = {}
    await this.#edit(manager, { target, entity })
    return entity
  }

  /** For `UPDATE`: TypeORM knows no null there for the columns of an embedded. */
  async #changedValues(manager, target) {
    const values = await this.#values(manager, target)
    if (target === Picture && values.file === null) delete values.file
    return values
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
    if (deed === 'add' && files.length < 4) {
      const file = await this.#file(manager, [Paper, 'pages'])
      return file === null ? files : [...files, file]
    }
    return files.filter(() => random.chance(0.6))
  }

  /** A new upload mostly; one that waits; or what another row has. */
  async #file(manager, into) {
    const kind = this.#random.weighted({ upload: 6, spare: 1, shared: 2 })
    if (kind === 'spare' && this.#spare.length > 0) return this.#spare.shift()
    if (kind === 'shared') {
      const [, field] = into
      const file = await this.#savedFile(manager, field === 'path')
      if (file !== undefined) return file
    }
    if (manager.queryRunner?.isTransactionActive && this.#database.concurrency === 1) {
      return this.#stock.shift() ?? null
    }
    return this.#upload(into)
  }

  /** What some row has. The key alone tells nothing of size and checksum. */
  async #savedFile(manager, isKeyEnough = false) {
    const { target, entity } = await this.#row(manager)
    const files = Object.keys(fieldsOf.get(target)).flatMap((field) => entity[field] ?? [])
    const whole = files.filter((file) => isKeyEnough || file.size !== null)
    return whole.length > 0 ? this.#random.pick(whole) : undefined
  }

  async #fillStock() {
    if (this.#database.concurrency > 1) return
    while (this.#stock.length < 4) this.#stock.push(await this.#upload())
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
