/**
 * The model: what the rows say and which objects there are, as the package promises it. It knows nothing of layouts, SQL
 * or TypeORM. A step has the outcomes that the promises allow, each with the state it leads to; what was observed picks
 * among them.
 */

/** The keys that a property refers to; a property with one file, or none, is a list of one, or none. */
export type Files = readonly string[]

export interface Row {
  title: string
  files: Readonly<Record<string, Files>>
  /** A list in which two sessions have put files: in whatever order. */
  isMerged?: boolean
}

/** How a step ends: done, refused by the package with a code, or failed by the database, or waiting for another session. */
export type Outcome =
  | 'ok'
  | 'file-gone'
  | 'file-changed'
  | 'file-saved'
  | 'invalid-value'
  | 'not-a-file'
  | 'database'
  | 'locked'

/** One way in which a step may end. */
export interface Branch {
  outcome: Outcome
  state: State
}

/**
 * What becomes of an object that no row refers to.
 * - `unsaved`: an upload that waits for its row, and is there.
 * - `offered`: an upload whose statement failed; it may be there.
 * - `going`: is being deleted, or will be by the clean-up in the background.
 * - `due`: its entry waits for a janitor; it may be deleted before, unless objects are retained for a while.
 * - `leaked`: let go by a statement that nothing watches, as documented; `reconcile` deletes it.
 * - `gone`: is not there.
 */
export type Fate = 'unsaved' | 'offered' | 'going' | 'due' | 'leaked' | 'gone'

/** How a row lets go of an object: by a statement that the package sees, or by one that only triggers see. */
export type Release = 'seen' | 'bulk'

export interface Rules {
  hasJournal: boolean
  hasTriggers: boolean
  /** Whether objects stay a while after rows have let them go. */
  isRetaining: boolean
  /** Whether a transaction goes on seeing what there was when it began, as on MySQL and MariaDB. */
  hasSnapshots: boolean
  /** Whether a statement that fails ends the transaction, as on PostgreSQL. */
  isDoomedByFailure: boolean
}

/** What an instance had when it was loaded, or saved last; a file that was not selected is undefined. */
export interface Known {
  files: Readonly<Record<string, Files | undefined>>
}

/** What a transaction, or a savepoint of it, has done. */
class Level {
  readonly rows = new Map<string, Row | null>()
  readonly released = new Map<string, Release>()
  /** Uploads that statements were given, whether or not they succeeded. */
  readonly offered = new Set<string>()
  /** Uploads of savepoints that were rolled back. */
  readonly undone = new Set<string>()
  /** What instances that were saved in it had before. */
  readonly known = new Map<number, Known | undefined>()

  clone(): Level {
    const copy = new Level()
    for (const [instance, known] of this.known) copy.known.set(instance, known)
    for (const [id, row] of this.rows) copy.rows.set(id, row)
    for (const [key, release] of this.released) copy.released.set(key, release)
    for (const key of this.offered) copy.offered.add(key)
    for (const key of this.undone) copy.undone.add(key)
    return copy
  }
}

export class State {
  readonly rules: Rules
  committed = new Map<string, Row>()
  levels: Level[] = []
  fates = new Map<string, Fate>()
  known = new Map<number, Known>()
  /** Objects that were discarded while a transaction that is still open refers to them: it cannot commit. */
  poisoned = new Set<string>()
  /** Objects whose entries have waited for all that they wait for. */
  aged = new Set<string>()
  /** Objects that one row has released and another one has: a trigger refuses them while the clean-up looks which. */
  looked = new Set<string>()
  /** Rows that other sessions have changed while the transaction was open. */
  moved = new Set<string>()
  /** Whether a statement has failed, after which PostgreSQL takes no other one until the transaction, or savepoint, ends. */
  isDoomed = false

  constructor(rules: Rules) {
    this.rules = rules
  }

  clone(): State {
    const copy = new State(this.rules)
    copy.committed = new Map(this.committed)
    copy.levels = this.levels.map((level) => level.clone())
    copy.fates = new Map(this.fates)
    copy.known = new Map(this.known)
    copy.poisoned = new Set(this.poisoned)
    copy.moved = new Set(this.moved)
    copy.looked = new Set(this.looked)
    copy.aged = new Set(this.aged)
    copy.isDoomed = this.isDoomed
    return copy
  }

  /** The rows as the open transaction sees them. */
  view(): Map<string, Row> {
    const rows = new Map(this.committed)
    for (const level of this.levels) {
      for (const [id, row] of level.rows) {
        if (row === null) rows.delete(id)
        else rows.set(id, row)
      }
    }
    return rows
  }

  row(id: string): Row | undefined {
    for (const level of this.levels.toReversed()) {
      const row = level.rows.get(id)
      if (row !== undefined) return row ?? undefined
    }
    return this.committed.get(id)
  }

  setRow(id: string, row: Row | null): void {
    const level = this.levels.at(-1)
    if (level !== undefined) level.rows.set(id, row)
    else if (row === null) this.committed.delete(id)
    else this.committed.set(id, row)
  }

  isReferred(key: string): boolean {
    return refersTo(this.committed, key) || this.levels.some((level) => refersTo(level.rows, key))
  }

  isCommitted(key: string): boolean {
    return refersTo(this.committed, key)
  }

  offer(keys: Iterable<string>): void {
    for (const key of keys) {
      if (this.fates.get(key) === 'unsaved' || this.fates.get(key) === 'offered') {
        this.levels.at(-1)?.offered.add(key)
      }
    }
  }

  release(keys: Iterable<string>, release: Release): void {
    const level = this.levels.at(-1)
    for (const key of keys) {
      if (level !== undefined) level.released.set(key, worse(level.released.get(key), release))
      else this.#letGo(key, release)
    }
  }

  /** An instance was loaded, or saved, which a rollback undoes. */
  learn(instance: number, known: Known, how: 'loaded' | 'saved'): void {
    const level = this.levels.at(-1)
    if (how === 'saved' && level !== undefined && !level.known.has(instance)) {
      level.known.set(instance, this.known.get(instance))
    }
    this.known.set(instance, known)
  }

  begin(): void {
    this.levels.push(new Level())
  }

  /** What the commit of the transaction, or of a savepoint, does. */
  commit(): void {
    const level = this.levels.pop() as Level
    const parent = this.levels.at(-1)
    for (const [id, row] of level.rows) this.setRow(id, row)
    if (parent !== undefined) {
      for (const [key, release] of level.released)
        parent.released.set(key, worse(parent.released.get(key), release))
      for (const key of level.offered) parent.offered.add(key)
      for (const key of level.undone) parent.undone.add(key)
      for (const [instance, known] of level.known) {
        if (!parent.known.has(instance)) parent.known.set(instance, known)
      }
      return
    }
    for (const key of level.offered) {
      if (!this.isReferred(key) && isUpload(this.fates.get(key))) {
        this.fates.set(key, level.undone.has(key) ? 'going' : 'offered')
      }
    }
    for (const [key, release] of level.released) this.#letGo(key, release)
    this.moved.clear()
  }

  /** What the rollback of the transaction, or to a savepoint, does. */
  rollback(): void {
    const level = this.levels.pop() as Level
    for (const [instance, known] of level.known) {
      if (known === undefined) this.known.delete(instance)
      else this.known.set(instance, known)
    }
    const parent = this.levels.at(-1)
    for (const key of level.offered) {
      if (parent !== undefined) {
        parent.offered.add(key)
        parent.undone.add(key)
        this.fates.set(key, 'offered')
      } else if (!this.isReferred(key) && isUpload(this.fates.get(key))) this.fates.set(key, 'going')
    }
    if (parent === undefined) {
      this.poisoned.clear()
      this.moved.clear()
    }
  }

  #letGo(key: string, release: Release): void {
    const { hasTriggers, isRetaining } = this.rules
    if (hasTriggers && this.isReferred(key)) this.looked.add(key)
    if (this.isReferred(key) || this.fates.get(key) === 'gone') return
    this.aged.delete(key)
    if (release === 'bulk' && !hasTriggers) this.fates.set(key, 'leaked')
    else this.fates.set(key, isRetaining || hasTriggers ? 'due' : 'going')
  }
}

function isUpload(fate: Fate | undefined): boolean {
  return fate === 'unsaved' || fate === 'offered'
}

function worse(one: Release | undefined, other: Release): Release {
  return one === 'bulk' ? 'bulk' : other
}

function refersTo(rows: Map<string, Row | null>, key: string): boolean {
  for (const row of rows.values()) {
    if (row !== null && Object.values(row.files).some((files) => files.includes(key))) return true
  }
  return false
}

/** What a statement wants of one row. */
export interface Write {
  row: string
  /** Undefined: not given, so that it stays. */
  title: string | undefined
  files: Readonly<Record<string, Files | undefined>>
  /** Which instance says so, where one does: what it had when loaded counts. */
  instance?: number
  /** Of which instance it is a copy, which may be known by its files. */
  copyOf?: number | undefined
  /** Fields that are lists. */
  lists: readonly string[]
  /** Fields that a row cannot do without. */
  required: readonly string[]
  /** Whether it is a transaction of its own when none is open, as a `save()` is unless told otherwise. */
  isTransaction: boolean
  /** Whether a list is changed relative to what was loaded, and what was not seen is kept: `save()`; not `update()`. */
  release: Release
  /** Whether there must be, or must not be, such a row; otherwise it is inserted where there is none. */
  kind: 'save' | 'insert' | 'update'
}

/** Rows that one statement, or one `save()`, writes together. */
export function write(state: State, writes: readonly Write[], present: ReadonlySet<string>): Branch[] {
  const refusals = new Set<Outcome>()
  const isCertain = { refusal: false }
  const next = state.clone()
  const before = [...next.view()]
  const released = new Map<string, Release>()
  const attached = new Set<string>()
  for (const one of writes) {
    const row = next.row(one.row)
    if (row === undefined && one.kind === 'update') {
      // Whether it is looked for is nobody's affair.
      if (keysOf([one]).some((key) => isThere(state, key, present) !== 'yes')) refusals.add('file-gone')
      continue
    }
    if (row !== undefined && one.kind === 'insert') {
      refusals.add('database')
      isCertain.refusal = true
    }
    if (
      before.some(
        ([id, other]) => id !== one.row && tableOf(id) === tableOf(one.row) && other.title === one.title,
      )
    ) {
      refusals.add('database')
      isCertain.refusal = true
    }
    const files: Record<string, Files> = {}
    let isMerged = false
    for (const [field, given] of Object.entries(one.files)) {
      const had = row?.files[field] ?? []
      const known = one.instance === undefined ? undefined : state.known.get(one.copyOf ?? one.instance)
      const result = row === undefined ? { files: given ?? [] } : change(had, given, known, field, one)
      if ('refused' in result) {
        refusals.add('file-changed')
        if (result.refused === 'always') isCertain.refusal = true
      }
      files[field] = result.files
      isMerged ||= result.isMerged === true
      if (one.required.includes(field) && result.files.length === 0) {
        refusals.add('database')
        isCertain.refusal = true
      }
      for (const key of had)
        if (!result.files.includes(key)) released.set(key, worse(released.get(key), one.release))
      for (const key of result.files) if (!had.includes(key)) attached.add(key)
    }
    const title = one.title ?? row?.title ?? ''
    const isChanged =
      row === undefined ||
      row.title !== title ||
      Object.entries(files).some(([field, keys]) => !isSame(keys, row.files[field] ?? []))
    if (isChanged) next.setRow(one.row, { title, files, ...(isMerged ? { isMerged } : {}) })
  }
  for (const key of attached) {
    const there = isThere(state, key, present)
    if (there !== 'yes') refusals.add('file-gone')
    if (there === 'no') isCertain.refusal = true
  }
  const branches = failures(state, writes, refusals)
  if (isCertain.refusal) return branches
  next.offer(attached)
  for (const key of attached) next.aged.delete(key)
  next.offer(keysOf(writes)) // What an UPDATE that finds no row was given.
  if (next.levels.length === 0) {
    for (const key of keysOf(writes)) {
      if (!next.isReferred(key) && next.fates.get(key) === 'unsaved') next.fates.set(key, 'offered')
    }
  }
  next.release(released.keys(), 'seen')
  for (const [key, release] of released) if (release === 'bulk') next.release([key], 'bulk')
  const done: Branch[] = [{ outcome: 'ok', state: next }]
  const isStale = state.rules.hasSnapshots && state.levels.length > 0
  // TypeORM goes by the row as it was when the transaction began: it writes nothing where that has it already, and inserts a
  // row that has come since.
  if (isStale && writes.some(({ row }) => state.moved.has(row)))
    done.push(...failures(state, writes, ['ok', 'database']))
  return [...done, ...branches]
}

/** What a field has after a statement, and whether the statement may or must be refused instead. */
function change(
  had: Files,
  given: Files | undefined,
  known: Known | undefined,
  field: string,
  { lists }: Write,
): { files: Files; refused?: 'maybe' | 'always'; isMerged?: boolean } {
  if (given === undefined || isSame(given, had)) return { files: had }
  // A plain object, a new instance or a statement: a command.
  if (known === undefined) return { files: given }
  const loaded = known.files[field]
  if (loaded === undefined) {
    // The entity was loaded without it, and never saw what the row has.
    const isLost = had.some((key) => !given.includes(key))
    return isLost ? { files: given, refused: 'maybe' } : { files: given }
  }
  if (isSame(given, loaded)) return { files: had }
  if (lists.includes(field)) {
    if (isSame(had, loaded)) return { files: given }
    const kept = had.filter((key) => !loaded.includes(key) || given.includes(key))
    const added = given.filter((key) => !loaded.includes(key) && !kept.includes(key))
    return { files: [...kept, ...added], isMerged: true }
  }
  if (had.length === 0 || isSame(had, loaded)) return { files: given }
  return { files: given, refused: 'always' }
}

/** Whether a row may come to refer to an object. */
function isThere(state: State, key: string, present: ReadonlySet<string>): 'yes' | 'maybe' | 'no' {
  if (state.isReferred(key)) return state.poisoned.has(key) || state.looked.has(key) ? 'maybe' : 'yes'
  switch (state.fates.get(key)) {
    case 'unsaved':
      return 'yes'
    case 'leaked':
      return present.has(key) ? 'yes' : 'no'
    case 'offered':
    case 'due':
    case 'going':
      return present.has(key) ? 'maybe' : 'no'
    default:
      return 'no'
  }
}

/** A statement that fails changes no row; an upload that it was given may be deleted, and is when its transaction is rolled back. */
export function failures(state: State, writes: readonly Write[], outcomes: Iterable<Outcome>): Branch[] {
  return [...outcomes].map((outcome) => {
    const next = state.clone()
    next.offer(keysOf(writes))
    if (next.levels.length === 0) {
      const isRolledBack = outcome === 'database' && writes.every(({ isTransaction }) => isTransaction)
      for (const key of keysOf(writes)) {
        if (isUpload(next.fates.get(key)) && !next.isReferred(key))
          next.fates.set(key, isRolledBack ? 'going' : 'offered')
      }
    }
    return { outcome, state: next }
  })
}

/** `remove()`, `delete()`, `clear()`. */
export function remove(state: State, rows: readonly string[], release: Release): Branch[] {
  const next = state.clone()
  const released = new Map<string, Release>()
  const take = (id: string, how: Release) => {
    const row = next.row(id)
    if (row === undefined) return
    for (const key of Object.values(row.files).flat()) released.set(key, worse(released.get(key), how))
    next.setRow(id, null)
  }
  for (const id of rows) {
    if (next.row(id) === undefined) continue
    // The database removes the pictures of an album.
    for (const child of next.view().keys()) if (isPictureOf(child, id)) take(child, 'bulk')
    take(id, release)
  }
  for (const [key, how] of released) next.release([key], how)
  return [{ outcome: 'ok', state: next }]
}

/**
 * `file.discard()`.
 *
 * @param isBlind that the transaction which is open is on the only connection: what is committed cannot be seen.
 */
export function discard(state: State, key: string, isBlind: boolean): Branch[] {
  if (state.isCommitted(key)) return [{ outcome: 'file-saved', state }]
  const isFresh = state.fates.get(key) === 'unsaved'
  const next = state.clone()
  next.fates.set(key, 'gone')
  // A session beside the open transaction does not see what its rows refer to.
  next.poisoned.add(key)
  const mayRefuse = state.isReferred(key) || (isBlind && !isFresh)
  const refusal: Branch[] = mayRefuse ? [{ outcome: 'file-saved', state }] : []
  return [{ outcome: 'ok', state: next }, ...refusal]
}

/** COMMIT, or RELEASE SAVEPOINT. */
export function commit(state: State): Branch[] {
  const committed = state.clone()
  if (committed.isDoomed) {
    committed.rollback()
    committed.isDoomed = false
    return [
      { outcome: 'ok', state: committed },
      { outcome: 'database', state: committed },
    ]
  }
  committed.commit()
  const isPoisoned =
    committed.levels.length === 0 && [...committed.poisoned].some((key) => committed.isReferred(key))
  if (!isPoisoned) return [{ outcome: 'ok', state: committed }]
  const rolledBack = state.clone()
  rolledBack.rollback()
  return [{ outcome: 'file-gone', state: rolledBack }]
}

export function rollback(state: State): Branch[] {
  const next = state.clone()
  next.rollback()
  next.isDoomed = false
  return [{ outcome: 'ok', state: next }]
}

/** What a session beside the open transaction does: it sees what is committed. */
export function beside(state: State, promise: (committed: State) => Branch[]): Branch[] {
  if (state.levels.length === 0) return promise(state)
  const committed = state.clone()
  const { levels, isDoomed } = committed
  committed.levels = []
  committed.isDoomed = false
  return promise(committed).map(({ outcome, state: done }) => {
    const next = done.clone()
    for (const id of new Set([...state.committed.keys(), ...next.committed.keys()])) {
      if (state.committed.get(id) !== next.committed.get(id)) next.moved.add(id)
    }
    next.levels = levels.map((level) => level.clone())
    next.isDoomed = isDoomed
    return { outcome, state: next }
  })
}

/** A statement that would have to wait for another session's lock, which these programs do not: it fails. */
export function locked(state: State, offered: readonly string[]): Branch {
  const next = state.clone()
  next.offer(offered)
  for (const key of offered) if (next.fates.get(key) === 'unsaved') next.fates.set(key, 'offered')
  return { outcome: 'locked', state: next }
}

/** The clean-up in the background has done all it can. */
export function settle(state: State): State {
  const next = state.clone()
  next.looked.clear()
  for (const [key, fate] of next.fates)
    if (fate === 'going' && !next.isReferred(key)) next.fates.set(key, 'gone')
  return next
}

/** A janitor works on the entries that are due. */
export function clean(state: State): State {
  const next = state.clone()
  for (const [key, fate] of next.fates) {
    if (next.isReferred(key)) continue
    if (fate === 'due' && (next.aged.has(key) || !next.rules.isRetaining)) next.fates.set(key, 'gone')
    if (next.aged.has(key) && (fate === 'unsaved' || fate === 'offered')) next.fates.set(key, 'gone')
  }
  return next
}

/** `reconcile` with `deleteOrphans`: what the journal names is the janitor's. */
export function reconciled(state: State): State {
  const next = state.clone()
  for (const [key, fate] of next.fates) {
    if (next.isReferred(key)) continue
    if (fate === 'leaked' || !next.rules.hasJournal) next.fates.set(key, 'gone')
  }
  return next
}

/** The pictures of album 1 are 11, 12, … */
function isPictureOf(picture: string, album: string): boolean {
  return (
    album.startsWith('Album ') && new RegExp(`^Picture ${album.slice('Album '.length)}\\d$`).test(picture)
  )
}

export function tableOf(id: string): string {
  return id.slice(0, id.indexOf(' '))
}

export function isSame(one: Files, other: Files): boolean {
  return one.length === other.length && one.every((key, index) => key === other[index])
}

function keysOf(writes: readonly Write[]): string[] {
  return writes.flatMap(({ files }) => Object.values(files).flatMap((keys) => keys ?? []))
}
