import { setTimeout as sleep } from 'node:timers/promises'
import { type EntityManager, QueryFailedError, type SaveOptions } from 'typeorm'
import { FileJanitor, filesSettled, isS3File, isS3FileError, reconcile, S3File } from '../../src/index.ts'
import { type Field, type Kind, kinds } from './entities.ts'
import type { Action, Program, Save, Step } from './program.ts'
import {
  type Branch,
  beside,
  clean,
  commit,
  discard,
  type Files,
  failures,
  isSame,
  locked,
  type Outcome,
  type Row,
  type Rules,
  reconciled,
  remove,
  rollback,
  State,
  settle,
  tableOf,
  type Write,
  write,
} from './promises.ts'
import { type ModelWorld, shortKey } from './world.ts'

/** Longer than any step takes. */
const hangMs = 5000

/** More states than programs of this length lead to. */
const maxStates = 64

/** What was seen is not what the promises allow. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** An entity that the program has kept. */
interface Handle {
  id: number
  entity: Record<string, unknown>
  kind: Kind
  number: number
  /** What it says of each field: undefined where it was not selected or given. */
  given: Record<string, Files | undefined>
  title: string | undefined
  isRemoved: boolean
  /** Whether it is an instance of its class, whose listeners TypeORM calls. */
  isInstance: boolean
  /** Of which instance it was copied, as long as it was not saved. */
  copyOf?: number
}

/** A step that is ready: what it does, and what the promises say of it. */
interface Deed {
  text: string
  run: () => Promise<unknown>
  promise: (state: State, present: ReadonlySet<string>) => Branch[]
  /** When it has ended. */
  after?: (outcome: Outcome) => void
  /** Whether it writes rows. */
  isWrite: boolean
  /** Whether it removes rows, which a statement of another session then does not find. */
  isRemoval?: true
  /** Whether it discards a file, which a statement of another session then cannot give to a row. */
  isDiscard?: true
  /** Keys of the files that it gives to rows. */
  offered?: string[]
}

interface Observed {
  /** Undefined where the open transaction keeps others from looking. */
  rows: Map<string, Row> | undefined
  objects: Set<string>
}

/** What a property is set to, and the keys that it then has; undefined: it is not set. */
interface Setting {
  real: unknown
  keys: Files | undefined
  text: string
  isInvalid: boolean
  isPending: boolean
}

export class Play {
  /** What has happened, a line each. */
  readonly lines: string[] = []
  operations = 0
  readonly #world: ModelWorld
  readonly #used: Kind[]
  /** The used ones, and their children. */
  readonly #observed: Kind[]
  readonly #program: Program
  readonly #handles: Handle[] = []
  readonly #files: S3File[] = []
  #states: State[]
  /** Whether another session may change which rows there are before the step is done. */
  #isMet = false
  /** The objects that were there when the step began, and what it has uploaded. */
  #present = new Set<string>()
  /** Whether the step that is made ready is one of another session than the open transaction. */
  #isBeside = false
  /** Entities that another session has. */
  #busy = new Set<Handle>()
  #titles = 0
  #number = 0
  #instances = 0

  constructor(world: ModelWorld, program: Program) {
    this.#world = world
    this.#program = program
    this.#used = [...new Set(program.kinds)].map(kindOf)
    this.#observed = this.#used.some(({ name }) => name === 'Album')
      ? [...new Set([...this.#used, kindOf('Picture')])]
      : this.#used
    const rules: Rules = {
      hasJournal: world.hasJournal,
      hasTriggers: world.setting === 'triggers',
      hasSnapshots: world.dataSource.options.type === 'mariadb',
      isRetaining: world.setting === 'retained',
      isDoomedByFailure: world.dataSource.options.type === 'postgres',
    }
    this.#states = [new State(rules)]
  }

  async run(): Promise<void> {
    try {
      await this.#prepare()
      for (const [index, step] of this.#program.steps.entries()) {
        this.#number = index + 1
        await this.#step(step)
      }
      await this.#finish()
    } finally {
      this.#world.onPoint = undefined
      await withinTime(filesSettled(), 'filesSettled()').catch(() => undefined)
      await this.#world.clear(this.#observed)
    }
  }

  get #state(): State {
    return this.#states[0] as State
  }

  get #isOpen(): boolean {
    return this.#state.levels.length > 0
  }

  get #manager(): EntityManager {
    return (this.#isBeside ? undefined : this.#world.transaction?.manager) ?? this.#world.manager
  }

  /** The rows that are there before the program begins. */
  async #prepare(): Promise<void> {
    for (const [slot, content] of this.#program.rows.entries()) {
      const { kind, number } = this.#slot(slot)
      if (content === 'none' || slot >= this.#used.length * 2) continue
      const entity = new kind.target() as Record<string, unknown>
      entity.id = kind.id(number)
      entity.title = this.#newTitle()
      const files: Record<string, Files> = {}
      for (const field of kind.fields) {
        const count = field.isRequired
          ? 1
          : content === 'empty'
            ? 0
            : content === 'files' && field.isList
              ? 2
              : 1
        const isSkipped = field !== kind.fields[0] && content !== 'files'
        const uploads: S3File[] = []
        for (let index = 0; index < count && !isSkipped; index++) uploads.push(await this.#upload())
        setValue(entity, field, field.isList ? uploads : (uploads[0] ?? null))
        files[field.path] = keysOf(uploads) ?? []
      }
      await this.#world.manager.save(entity)
      for (const key of Object.values(files).flat()) this.#state.fates.delete(key)
      this.#state.setRow(idOf(kind, number), { title: entity.title as string, files })
      this.lines.push(`given ${kind.name} ${number} ${show(files)}`)
    }
    this.#files.length = 0
  }

  #slot(slot: number): { kind: Kind; number: number } {
    const kind = this.#used[slot % this.#used.length] as Kind
    return { kind, number: (Math.floor(slot / this.#used.length) % 2) + 1 }
  }

  #kept(index: number): Handle | undefined {
    return this.#handles.filter((handle) => !this.#busy.has(handle)).at(-1 - index)
  }

  #newTitle(): string {
    return `t${++this.#titles}`
  }

  async #upload(): Promise<S3File> {
    const file = await this.#world.upload()
    this.#files.push(file)
    for (const state of this.#states) state.fates.set(shortKey(file.key), 'unsaved')
    this.#present.add(shortKey(file.key))
    return file
  }

  async #step(step: Step): Promise<void> {
    this.#isMet = step.meanwhile.length > 0
    if (this.#isMet && step.action.do === 'janitor' && step.action.isAged && this.#world.hasJournal)
      await this.#age()
    const deed = await this.#deedOf(step.action, step.by === 1)
    if (deed === undefined) return
    const isAlone = this.#isOpen && !this.#world.isServer
    const others = step.meanwhile.filter(({ action }) => !isAlone && !this.#isMisuse(step, action))
    const outcome = others.length === 0 ? await this.#do(deed) : await this.#doAmong(deed, others)
    const isBeside = step.by === 1 && this.#world.isServer
    if (outcome !== 'ok' && !isBeside && !step.isCaught) {
      while (this.#isOpen) await this.#do(this.#end('rollback'))
    }
    if (this.#state.rules.hasSnapshots) await this.#adoptTitles()
    if (!step.isHasty) await this.#settle()
    await this.#check()
  }

  /** Without a journal, `reconcile` cannot know of what is about to come into a row: that is what its minimal age is for. */
  #isMisuse({ action }: Step, other: Action): boolean {
    if (this.#world.hasJournal) return false
    if (other.do === 'reconcile') return true
    return action.do === 'reconcile' && 'value' in other && other.value !== 'same' && other.value !== 'clear'
  }

  async #do(deed: Deed): Promise<Outcome> {
    const { objects } = await this.#observe()
    this.#present = objects
    this.operations++
    const { outcome, text } = await attempt(deed)
    this.lines.push(`${this.#number}. ${deed.text} → ${text}`)
    const branches = this.#states.flatMap((state) => deed.promise(state, objects))
    this.#choose(
      branches.map(({ outcome, state }) => ({ outcomes: [outcome], state })),
      [outcome],
      text,
    )
    this.#noteFailure(deed, outcome)
    deed.after?.(outcome)
    return outcome
  }

  /** Steps of other sessions come between two statements, or requests, of this one's. */
  async #doAmong(deed: Deed, others: Step['meanwhile']): Promise<Outcome> {
    // A day goes by before, not while, a step is under way.
    if (others.some(({ action }) => action.do === 'janitor' && action.isAged)) await this.#age()
    const { objects } = await this.#observe()
    this.#present = objects
    const line = this.lines.length
    const done: { deed: Deed; outcome: Outcome; text: string }[] = []
    const waiting = [...others]
    let points = 0
    let running: Promise<void> | undefined
    const onPoint = async (isFree: boolean, statement: string | undefined) => {
      const [next] = waiting
      if (next === undefined || (!isFree && !this.#world.isServer)) return
      if (statement !== undefined && !this.#world.isAbout(this.#observed, statement)) return
      if (points++ < next.after) return
      points = 0
      waiting.shift()
      this.#world.onPoint = undefined
      running = come(next)
      await running
    }
    const come = async ({ after, action }: Step['meanwhile'][number]) => {
      const other = await this.#deedOf(action, true)
      if (other !== undefined) {
        const { outcome, text } = await attempt(other)
        done.push({ deed: this.#world.isServer ? mayWait(other) : other, outcome, text })
        this.lines.push(`   meanwhile, after ${after} points: ${other.text} → ${text}`)
      }
      for (const handle of this.#handles) this.#busy.add(handle)
      if (!hasEnded) this.#world.onPoint = onPoint
    }
    let hasEnded = false
    this.#busy = new Set(this.#handles)
    this.#world.onPoint = onPoint
    const first = await attempt(deed)
    hasEnded = true
    this.#world.onPoint = undefined
    // It may have come between requests of the clean-up in the background.
    await running
    this.#busy.clear()
    this.operations += 1 + done.length
    this.lines.splice(line, 0, `${this.#number}. ${deed.text} → ${first.text}`)
    const seen = [first.outcome, ...done.map(({ outcome }) => outcome)]
    const branches: { outcomes: Outcome[]; state: State }[] = []
    for (let place = 0; place <= done.length; place++) {
      const order = done.map((other) => other.deed).toSpliced(place, 0, deed)
      for (const state of this.#states) {
        for (const { outcomes, state: next } of compose(state, order, objects)) {
          const [own] = outcomes.splice(place, 1) as [Outcome]
          branches.push({ outcomes: [own, ...outcomes], state: next })
        }
        if (!deed.isWrite || done.length === 0) continue
        // One may find that another one has changed which rows there are: then it fails, or writes nothing.
        for (const late of order) {
          const rest = order.filter((other) => other !== late)
          const ends: Outcome[] = ['database']
          if (late.isWrite && rest.some((other) => other.isRemoval)) ends.push('ok')
          if (late.isWrite && rest.some((other) => other.isDiscard)) ends.push('file-gone')
          for (const { outcomes, state: next } of compose(state, rest, objects)) {
            for (const end of ends) {
              const all = outcomes.toSpliced(order.indexOf(late), 0, end)
              const [own] = all.splice(place, 1) as [Outcome]
              const after = end === 'database' ? next : locked(next, late.offered ?? []).state
              branches.push({ outcomes: [own, ...all], state: after })
            }
          }
        }
      }
    }
    this.#choose(branches, seen, seen.join(', '))
    this.#noteFailure(deed, first.outcome)
    deed.after?.(first.outcome)
    for (const other of done) other.deed.after?.(other.outcome)
    if (done.length > 0) await this.#adoptTitles()
    return first.outcome
  }

  /** What two sessions do to a column without a file is TypeORM's affair. */
  async #adoptTitles(): Promise<void> {
    const { rows } = await this.#observe()
    if (rows === undefined) return
    for (const state of this.#states) {
      for (const [id, row] of this.#world.isServer ? state.committed : state.view()) {
        const observed = rows.get(id)
        if (observed !== undefined && observed.title !== row.title) {
          const adopted = { ...row, title: observed.title }
          if (this.#world.isServer) state.committed.set(id, adopted)
          else state.setRow(id, adopted)
        }
      }
    }
  }

  #choose(
    branches: { outcomes: readonly Outcome[]; state: State }[],
    outcomes: readonly Outcome[],
    text: string,
  ): void {
    const chosen = branches.filter((branch) =>
      branch.outcomes.every((outcome, index) => outcome === outcomes[index]),
    )
    if (chosen.length === 0) {
      const allowed = [...new Set(branches.map((branch) => branch.outcomes.join(', ')))]
      throw new Violation(`ended with ${text}, but the promises allow ${allowed.join(' | ')}`)
    }
    this.#states = distinct(chosen.map(({ state }) => state)).slice(0, maxStates)
  }

  /** Whether a statement of the open transaction has failed in the database. */
  #noteFailure({ text }: Deed, outcome: Outcome): void {
    const { isDoomedByFailure } = this.#state.rules
    if (!isDoomedByFailure || (outcome !== 'database' && outcome !== 'locked')) return
    if (text.startsWith('beside')) return
    for (const state of this.#states) state.isDoomed = state.levels.length > 0
  }

  async #settle(): Promise<void> {
    if (this.#isOpen && !this.#world.isServer) return
    await withinTime(filesSettled(), 'filesSettled()')
    this.#states = this.#states.map(settle)
  }

  async #observe(): Promise<Observed> {
    const rows = await this.#world.rows(this.#observed).catch((error: unknown) => {
      // A TRUNCATE of the open transaction keeps other sessions from looking.
      if (this.#isOpen && isLocked(error)) return undefined
      throw error
    })
    return { rows, objects: new Set((await this.#world.objects()).map(shortKey)) }
  }

  /** Some state that the promises allow has what is there. */
  async #check(): Promise<void> {
    const observed = await this.#observe()
    const { isServer } = this.#world
    const complaints = this.#states.map((state) => complaint(state, observed, isServer))
    const left = this.#states.filter((_, index) => complaints[index] === undefined)
    if (left.length === 0) throw new Violation(complaints[0])
    this.#states = left
    if (!isServer || !this.#isOpen) for (const state of left) adoptOrder(state, observed)
    const [error] = this.#world.cleanupErrors
    if (error !== undefined) throw new Violation(`onCleanupError was called: ${error}`)
  }

  async #finish(): Promise<void> {
    this.#isMet = false
    while (this.#isOpen) await this.#do(this.#end('commit'))
    await this.#settle()
    await this.#check()
    const entries = new Set([...(await this.#world.entries())].map(shortKey))
    const { objects } = await this.#observe()
    for (const key of objects) {
      if (!this.#world.hasJournal || this.#state.isReferred(key) || entries.has(key)) continue
      if (this.#states.every((state) => state.fates.get(key) !== 'leaked')) {
        throw new Violation(`at the end: ${key} has neither a row nor an entry in the journal`)
      }
    }
    if (this.#world.hasJournal) {
      const janitor = await this.#deed({ do: 'janitor', isAged: true })
      await this.#do(janitor as Deed)
      await this.#settle()
      await this.#check()
    }
    for (const key of await this.#world.objects()) {
      const bytes = await new S3File({ key }).bytes()
      if (!key.endsWith(bytes.toString())) {
        throw new Violation(`at the end: ${shortKey(key)} has the bytes of ${bytes}`)
      }
    }
    const deed = await this.#deed({ do: 'reconcile' })
    await this.#do(deed as Deed)
    await this.#check()
    const left = [...(await this.#observe()).objects].filter((key) => !this.#state.isReferred(key))
    if (left.length > 0) throw new Violation(`at the end: no row refers to ${left}`)
  }

  #end(how: 'commit' | 'rollback'): Deed {
    const isSavepoint = this.#state.levels.length > 1
    // PostgreSQL takes no RELEASE SAVEPOINT after a failure.
    const done = isSavepoint && this.#state.isDoomed ? 'rollback' : how
    return {
      text: `${done}${isSavepoint ? ' of the savepoint' : ''}`,
      run: () => this.#world.end(done),
      promise: done === 'commit' ? commit : rollback,
      isWrite: false,
    }
  }

  /** A step, made ready for the session that takes it. */
  async #deedOf(action: Action, isBeside: boolean): Promise<Deed | undefined> {
    const isTransactional = action.do === 'begin' || action.do === 'commit' || action.do === 'rollback'
    if (isTransactional || !this.#isOpen || !this.#world.isServer) {
      const isStuck = this.#state.isDoomed && action.do !== 'commit' && action.do !== 'rollback'
      return isStuck ? undefined : this.#deed(action)
    }
    if (!isBeside) return this.#state.isDoomed ? undefined : this.#deed(action)
    this.#isBeside = true
    try {
      const deed = await this.#deed(action).catch((error: unknown) => {
        // A TRUNCATE of the open transaction keeps other sessions from looking.
        if (isLocked(error)) return undefined
        throw error
      })
      if (deed === undefined) return undefined
      const { promise, text } = deed
      const isBackground = action.do === 'janitor'
      return mayWait({
        ...deed,
        text: `beside the transaction: ${text}`,
        promise: isBackground
          ? promise
          : (state, present) => beside(state, (committed) => promise(committed, present)),
      })
    } finally {
      this.#isBeside = false
    }
  }

  async #deed(action: Action): Promise<Deed | undefined> {
    switch (action.do) {
      case 'load':
        return this.#load(action)
      case 'upload':
        await this.#upload()
        return plain('upload', async () => undefined)
      case 'save':
        return this.#save(action)
      case 'statement':
        return this.#statement(action)
      case 'raw':
        return this.#raw(action)
      case 'move':
        return this.#move(action)
      case 'remove':
        return this.#remove(action)
      case 'softRemove':
      case 'recover':
        return this.#soft(action)
      case 'family':
        return this.#family(action)
      case 'discard':
        return this.#discard(action)
      case 'begin':
        if (this.#state.levels.length >= 3) return undefined
        return {
          text: this.#isOpen ? 'savepoint' : 'begin',
          run: () => this.#world.begin(),
          promise: (state) => {
            const next = state.clone()
            next.begin()
            return [{ outcome: 'ok', state: next }]
          },
          isWrite: false,
        }
      case 'commit':
      case 'rollback':
        return this.#isOpen ? this.#end(action.do) : undefined
      case 'settle':
        return plain('settle', () => this.#settle())
      case 'janitor': {
        if (!this.#world.hasJournal || (this.#isOpen && !this.#world.isServer)) return undefined
        if (action.isAged && !this.#isMet) await this.#age()
        return {
          text: action.isAged ? 'a day later, janitor' : 'janitor',
          run: async () => {
            const report = await new FileJanitor(this.#world.dataSource).runOnce()
            if (report.failed > 0) throw new Error(`the janitor failed on ${report.failed}`)
          },
          promise: (state) => [{ outcome: 'ok', state: clean(state) }],
          isWrite: false,
        }
      }
      case 'reconcile':
        if (this.#isOpen) return undefined
        return {
          text: 'reconcile --delete-orphans',
          run: async () => {
            const options = { olderThanSeconds: 0, deleteOrphans: true }
            for await (const finding of reconcile(this.#world.dataSource, options)) {
              if (finding.type === 'dangling') throw new Violation(`reconcile found ${finding.key} dangling`)
            }
          },
          promise: (state) => [{ outcome: 'ok', state: reconciled(state) }],
          isWrite: false,
        }
    }
  }

  async #age(): Promise<void> {
    if (!this.#world.hasJournal) return
    const aged = await this.#world.age()
    for (const state of this.#states) state.aged = new Set(aged.map(shortKey))
  }

  async #find(kind: Kind, number: number, part: 'all' | 'title' | 'file' = 'all', isParent = false) {
    const target = (isParent ? kind.parent : undefined) ?? kind.target
    const select =
      part === 'all'
        ? {}
        : {
            select: {
              id: true,
              ...(part === 'title' ? { title: true } : nested((kind.fields[0] as Field).path, true)),
            },
          }
    const entity = await this.#manager.findOne(target, {
      where: { id: kind.id(number) } as object,
      withDeleted: true,
      ...select,
    })
    if (entity === null) return undefined
    return this.#keep(kind, number, entity, true)
  }

  /** Keeps an entity; what `find()` gave is known to have been loaded. */
  #keep(kind: Kind, number: number, entity: object, isLoaded: boolean): Handle {
    const given: Record<string, Files | undefined> = {}
    for (const field of kind.fields) given[field.path] = keysOf(valueAt(entity, field))
    const handle: Handle = {
      id: ++this.#instances,
      entity: entity as Record<string, unknown>,
      kind,
      number,
      given,
      title: (entity as { title?: string }).title,
      isRemoved: false,
      isInstance: entity instanceof kind.target,
    }
    this.#handles.push(handle)
    if (isLoaded) {
      for (const field of kind.fields) {
        for (const file of [valueAt(entity, field)].flat()) if (isS3File(file)) this.#files.push(file)
      }
      for (const state of this.#states) state.learn(handle.id, { files: { ...given } }, 'loaded')
    }
    return handle
  }

  /** A row as an instance of the class with its table, which knows nothing of the entity's own columns. */
  #asParent(kind: Kind, parent: new () => object, number: number): Handle {
    const handle = this.#keep(kind, number, Object.assign(new parent(), { id: kind.id(number) }), false)
    this.#forget(handle)
    return handle
  }

  async #load({ on, part, through }: Action & { do: 'load' }): Promise<Deed | undefined> {
    const { kind, number } = this.#slot(on)
    const handle = await this.#find(kind, number, part, through === 'parent')
    if (handle === undefined) return undefined
    const how = part === 'all' ? '' : ` (${part} only)`
    return plain(
      `load ${kind.name} ${number}${how} as e${handle.id}: ${show(handle.given)}`,
      async () => undefined,
    )
  }

  /** The entity that a step is about. */
  async #source(action: Save): Promise<{ handle: Handle; text: string } | undefined> {
    const { kind, number } = this.#slot(action.on)
    const kept = () => this.#kept(action.entity)
    switch (action.from) {
      case 'load': {
        const handle = await this.#find(kind, number)
        return handle && { handle, text: `loaded e${handle.id}` }
      }
      case 'parent': {
        if (kind.parent === undefined || this.#state.row(idOf(kind, number)) === undefined) return undefined
        const handle = this.#asParent(kind, kind.parent, number)
        return { handle, text: `${kind.parent.name} e${handle.id}` }
      }
      case 'part': {
        const handle = await this.#find(kind, number, 'title')
        return handle && { handle, text: `partially loaded e${handle.id}` }
      }
      case 'kept':
      case 'merge': {
        const handle = kept()
        if (handle === undefined || (action.from === 'merge' && !handle.isInstance)) return undefined
        return { handle, text: `e${handle.id}` }
      }
      case 'preload': {
        // TypeORM itself takes a key that is an object for a condition.
        if (!kind.hasPlainId || this.#state.row(idOf(kind, number)) === undefined) return undefined
        const entity = await this.#manager.preload(kind.target, { id: kind.id(number) } as object)
        if (entity === undefined) return undefined
        const handle = this.#keep(kind, number, entity, true)
        return { handle, text: `preloaded e${handle.id}` }
      }
      case 'new':
      case 'create':
      case 'plain': {
        const made = { id: kind.id(number) }
        const entity =
          action.from === 'plain'
            ? made
            : action.from === 'new'
              ? Object.assign(new kind.target(), made)
              : this.#manager.create(kind.target, made)
        for (const { path } of kind.fields) {
          if (path.includes('.') && action.from === 'new') Object.assign(entity, nested(path, undefined))
        }
        const handle = this.#keep(kind, number, entity, false)
        return {
          handle,
          text: `${action.from === 'plain' ? 'plain' : action.from} e${handle.id}`,
        }
      }
      case 'spread':
      case 'assign':
      case 'createCopy': {
        const original = kept()
        if (original === undefined) return undefined
        const { kind, number, entity } = original
        const id = kind.id(number)
        const source = { ...detached(entity), id }
        const copy =
          action.from === 'spread'
            ? source
            : action.from === 'assign'
              ? Object.assign(new kind.target(), source)
              : this.#manager.create(kind.target, source)
        const handle = this.#keep(kind, number, copy, false)
        handle.given = { ...original.given }
        handle.title = original.title
        handle.copyOf = original.id
        const how = action.from === 'createCopy' ? 'create(…)' : action.from
        return { handle, text: `${how} copy e${handle.id} of e${original.id}` }
      }
    }
  }

  async #save(action: Save): Promise<Deed | undefined> {
    const source = await this.#source(action)
    if (source === undefined) return undefined
    const { handle } = source
    const manager = this.#manager
    const { kind, number } = handle
    const id = idOf(kind, number)
    const field = kind.fields[action.from === 'parent' ? 0 : action.field % kind.fields.length] as Field
    const isNew = this.#state.row(id) === undefined
    let value = action.value
    const canPend = kind.hasPending && handle.isInstance && action.how !== 'noListeners'
    if (value === 'pending' && !canPend) value = 'upload'
    if (
      isNew &&
      field.isRequired &&
      (value === 'same' || value === 'clear') &&
      handle.given[field.path]?.length !== 1
    ) {
      value = 'upload'
    }
    const setting = await this.#setting(value, action, field, handle, action.list)
    if (setting === undefined) return undefined
    let title: string | undefined
    if (action.title === 'taken') title = this.#takenTitle(id)
    if (
      title === undefined &&
      (action.title === 'new' ||
        setting.isPending ||
        ((isNew || this.#isMet || this.#isBeside) && handle.title === undefined))
    ) {
      title = this.#newTitle()
    }
    if (handle.isRemoved) handle.entity.id = kind.id(number)
    handle.isRemoved = false
    const isSet = setting.keys !== undefined || setting.isInvalid
    const patch = {
      ...(title === undefined ? {} : { title }),
      ...(isSet && !setting.isPending ? nested(field.path, setting.real) : {}),
    }
    // With columns of its own, `create()` refuses what is no file already.
    if (setting.isInvalid && ['create', 'createCopy', 'merge', 'preload'].includes(action.from))
      return undefined
    if (action.from === 'create' || action.from === 'createCopy') {
      const { part } = handle.entity as { part?: object }
      const whole = field.path.startsWith('part.') ? { part: { ...part, file: setting.real } } : {}
      handle.entity = this.#manager.create(kind.target, {
        ...handle.entity,
        ...patch,
        ...(isSet ? whole : {}),
      }) as never
    } else if (action.from === 'merge' || action.from === 'preload') {
      this.#manager.merge(kind.target, handle.entity, patch)
      // Of null, TypeORM makes nothing in an embedded object.
      if (isSet && setting.real === null) setValue(handle.entity, field, null)
    } else {
      Object.assign(handle.entity, title === undefined ? {} : { title })
      if (isSet && !setting.isPending) setValue(handle.entity, field, setting.real)
    }
    const { entity } = handle
    if (setting.isPending) entity.pending = setting.real
    if (setting.keys !== undefined) handle.given[field.path] = setting.keys
    if (title !== undefined) handle.title = title
    const wanted = this.#wanted(handle, action.how !== 'noTransaction')
    const isMet = this.#isMet
    const options: SaveOptions =
      action.how === 'noListeners'
        ? { listeners: false }
        : action.how === 'noTransaction'
          ? { transaction: false }
          : {}
    const target = (action.from === 'parent' ? kind.parent : undefined) ?? kind.target
    const what = [title && `title ${title}`, setting.text && `${field.path} ${setting.text}`]
      .filter(Boolean)
      .join(', ')
    const how = action.how === 'usual' ? '' : ` (${action.how})`
    return {
      text: `save ${source.text} of ${id}${what && ` with ${what}`}${how}`,
      offered: Object.values(wanted.files).flatMap((keys) => keys ?? []),
      run: () => manager.save(target, entity, options),
      promise: (state, present) =>
        setting.isInvalid
          ? // Another session may have changed the row that is looked at before.
            failures(state, [wanted], isMet ? [...misuse, 'file-changed'] : misuse)
          : [
              ...write(state, [wanted], present),
              // A copy is known by the files that it has of the original; without any it is a command.
              ...(handle.copyOf === undefined
                ? []
                : write(state, [{ ...wanted, copyOf: handle.copyOf }], present)),
            ],
      after: (outcome) => {
        if (setting.isPending && outcome !== 'ok') this.#handles.splice(this.#handles.indexOf(handle), 1)
        if (setting.isInvalid) setValue(entity, field, null)
        if (setting.isInvalid) handle.given[field.path] = []
        // Another session may have made the row first.
        if (outcome === 'ok') this.#learn(handle, isNew && !isMet)
      },
      isWrite: true,
    }
  }

  /** After a `save()` an instance is known to have what it then holds. */
  #learn(handle: Handle, isNew: boolean): void {
    for (const field of handle.kind.fields) {
      const given = handle.given[field.path]
      if (given !== undefined) handle.given[field.path] = keysOf(valueAt(handle.entity, field)) ?? []
      else if (isNew) handle.given[field.path] = []
    }
    for (const state of this.#states) state.learn(handle.id, { files: { ...handle.given } }, 'saved')
    delete handle.copyOf
  }

  #takenTitle(id: string): string | undefined {
    for (const [other, row] of this.#state.view()) {
      if (other !== id && tableOf(other) === tableOf(id)) return row.title
    }
    return undefined
  }

  async #setting(
    value: Save['value'],
    { file }: { file: number },
    field: Field,
    handle: Pick<Handle, 'kind' | 'number' | 'given'> & { id?: number; entity?: object },
    list: Save['list'] = 'set',
  ): Promise<Setting | undefined> {
    const settings = { isInvalid: false, isPending: value === 'pending' }
    const current = [handle.entity && valueAt(handle.entity, field)].flat().filter(isS3File)
    if (field.isList && value === 'same' && (list === 'shift' || list === 'turn')) {
      if (handle.given[field.path] === undefined)
        return { real: undefined, keys: undefined, text: '', ...settings }
      const changed = list === 'shift' ? current.slice(1) : current.toReversed()
      return { real: changed, keys: keysOf(changed), text: `${list}ed to ${keysOf(changed)}`, ...settings }
    }
    if (value === 'same') return { real: undefined, keys: undefined, text: '', ...settings }
    if (value === 'clear') {
      const empty = field.isList && list !== 'set' ? [] : null
      return { real: empty, keys: [], text: empty === null ? 'null' : '[]', ...settings }
    }
    if (value === 'promise' || value === 'plainObject') {
      const upload = await this.#upload()
      const real = value === 'promise' ? Promise.resolve(upload) : upload.toRecord()
      const text = value === 'promise' ? 'a Promise' : 'a plain record'
      return { real: field.isList ? [real] : real, keys: undefined, text, isInvalid: true, isPending: false }
    }
    if (value === 'foreign') {
      const real = await this.#world.foreignFile()
      const text = 'a file of another DataSource'
      return { real: field.isList ? [real] : real, keys: undefined, text, isInvalid: true, isPending: false }
    }
    const given = await this.#file(value, file, handle)
    if (given === undefined) return undefined
    if (!field.isList) {
      return { real: given.file, keys: keysOf(given.file), text: given.text, ...settings }
    }
    if (current.some((other) => other.equals(given.file))) return undefined
    const files = list === 'set' ? [given.file] : [...current, given.file]
    return { real: files, keys: keysOf(files), text: `[${keysOf(files)}], ${given.text}`, ...settings }
  }

  async #file(
    value: Save['value'],
    index: number,
    { kind, number, id }: Pick<Handle, 'kind' | 'number'> & { id?: number },
  ): Promise<{ file: S3File; text: string } | undefined> {
    switch (value) {
      case 'other': {
        const [other] = [...this.#state.view()].filter(
          ([id, row]) => id !== idOf(kind, number) && Object.values(row.files).flat().length > 0,
        )
        if (other === undefined) return undefined
        const [id] = other
        const otherKind = kindOf(tableOf(id))
        const handle = await this.#find(otherKind, Number(id.slice(id.indexOf(' '))))
        const file = handle?.kind.fields
          .flatMap((field) => [handle && valueAt(handle.entity, field)].flat())
          .find(isS3File)
        return file && { file, text: `${shortKey(file.key)} of ${id}` }
      }
      case 'known':
      case 'record': {
        const file = this.#files.at(-1 - index)
        if (file === undefined) return undefined
        // What was not loaded is taken for a copy of an entity that has the same file.
        const isCommand = id !== undefined && !this.#state.known.has(id)
        if (value === 'known' && !isCommand) return { file, text: `${shortKey(file.key)} known before` }
        return { file: new S3File(file.toRecord()), text: `${shortKey(file.key)} from its record` }
      }
      case 'discarded': {
        const file = await this.#upload()
        await file.discard()
        for (const state of this.#states) state.fates.set(shortKey(file.key), 'gone')
        return { file, text: `${shortKey(file.key)} that was discarded` }
      }
      default: {
        const file = await this.#upload()
        return { file, text: `upload ${shortKey(file.key)}` }
      }
    }
  }

  async #statement(action: Action & { do: 'statement' }): Promise<Deed | undefined> {
    const { kind, number } = this.#slot(action.on)
    const { manager } = { manager: this.#manager }
    const id = idOf(kind, number)
    const criteria = { id: kind.id(number) } as object
    const field = kind.fields[action.field % kind.fields.length] as Field
    const via = kind.hasPlainId ? action.via : action.via === 'repository' ? 'builder' : action.via
    const silently = via !== 'silent'
    const how = via === 'silent' ? ' silently' : via === 'builder' ? ' by query builder' : ''
    if (action.kind === 'clear') {
      // TRUNCATE of MySQL commits by itself, and fires no trigger.
      if (['mysql', 'mariadb'].includes(this.#world.dataSource.options.type)) return undefined
      if (kind.parent !== undefined || kind.name === 'Album') return undefined
      return {
        text: `clear ${kind.name}`,
        run: () => manager.clear(kind.target),
        promise: (state) => remove(state, this.#idsOf(state, kind), 'bulk'),
        isWrite: true,
        isRemoval: true,
      }
    }
    if (action.kind === 'delete') {
      return {
        text: `delete ${id}${how}`,
        run: () =>
          via === 'repository'
            ? manager.delete(kind.target, criteria)
            : manager
                .createQueryBuilder()
                .delete()
                .from(kind.target)
                .where(criteria)
                .callListeners(silently)
                .execute(),
        promise: (state) => remove(state, [id], 'bulk'),
        isWrite: true,
        isRemoval: true,
      }
    }
    let value = action.value === 'pending' ? 'upload' : action.value
    const isInsert = action.kind === 'insert' || action.kind === 'upsert'
    if (field.isRequired && isInsert && (value === 'same' || value === 'clear')) value = 'upload'
    // TypeORM refuses null for an embedded object, which these columns are to it.
    if (field.isColumns && value === 'clear' && !isInsert) return undefined
    const setting = await this.#setting(value, action, field, { kind, number, given: {} })
    if (setting === undefined) return undefined
    const isSet = setting.keys !== undefined || setting.isInvalid
    const title = isInsert || !isSet ? this.#newTitle() : undefined
    if (action.kind === 'updateAll' && !isSet) return undefined
    const values = {
      ...(isInsert ? criteria : {}),
      ...(title === undefined ? {} : { title }),
      ...(isSet ? nested(field.path, setting.real) : {}),
    } as object
    const files: Record<string, Files | undefined> = {}
    for (const { path } of kind.fields) files[path] = path === field.path ? setting.keys : undefined
    const wanted = (row: string): Write => ({
      row,
      title,
      files,
      lists: listsOf(kind),
      required: requiredOf(kind),
      isTransaction: false,
      release: 'bulk',
      kind: action.kind === 'insert' ? 'insert' : action.kind === 'upsert' ? 'save' : 'update',
    })
    const what = [title && `title ${title}`, setting.text && `${field.path} ${setting.text}`]
      .filter(Boolean)
      .join(', ')
    const run = (): Promise<unknown> => {
      const query = manager.createQueryBuilder().callListeners(silently)
      switch (action.kind) {
        case 'insert':
          return via === 'repository'
            ? manager.insert(kind.target, values)
            : query.insert().into(kind.target).values(values).execute()
        case 'upsert':
          return manager.upsert(kind.target, values, ['id'])
        case 'updateAll':
          return query.update(kind.target).set(values).execute()
        default:
          return via === 'repository'
            ? manager.update(kind.target, criteria, values)
            : query.update(kind.target).set(values).where(criteria).execute()
      }
    }
    return {
      text: `${action.kind} ${action.kind === 'updateAll' ? kind.name : id}${what && ` with ${what}`}${action.kind === 'upsert' ? '' : how}`,
      offered: [...(setting.keys ?? [])],
      run,
      promise: (state, present) => {
        const rows = action.kind === 'updateAll' ? this.#idsOf(state, kind) : [id]
        const writes = rows.map(wanted)
        return setting.isInvalid
          ? failures(state, [wanted(id)], misuse)
          : write(state, writes.length === 0 ? [wanted(id)] : writes, present)
      },
      isWrite: true,
    }
  }

  #idsOf(state: State, kind: Kind): string[] {
    return [...state.view().keys()].filter((id) => tableOf(id) === kind.name)
  }

  #raw({ on, kind: what, field: index }: Action & { do: 'raw' }): Deed | undefined {
    const { kind, number } = this.#slot(on)
    const field = kind.fields[index % kind.fields.length] as Field
    const other = number === 1 ? 2 : 1
    const [id, otherId] = [idOf(kind, number), idOf(kind, other)]
    const {
      table,
      id: key,
      title: titleColumn,
      columns,
      literal,
      discriminator,
    } = this.#world.sql(kind, field.path)
    const manager = this.#manager
    const files = (state: State) => state.row(otherId)?.files[field.path] ?? []
    const common = { lists: [], required: requiredOf(kind), isTransaction: false, release: 'bulk' as const }
    if (what === 'insert') {
      const title = this.#newTitle()
      if (kind.name === 'Versioned' || kind.fields.some(({ isRequired }) => isRequired)) return undefined
      const extra = discriminator === undefined ? [] : [discriminator]
      const into = [key, titleColumn, ...extra.map(({ column }) => column), ...columns]
      const from = [literal(number), `'${title}'`, ...extra.map(({ value }) => value), ...columns]
      return {
        text: `INSERT ${id} SELECT ${field.path} of ${otherId}`,
        run: () =>
          manager.query(
            `INSERT INTO ${table} (${into}) SELECT ${from} FROM ${table} WHERE ${key} = ${literal(other)}`,
          ),
        promise: (state, present) =>
          state.row(otherId) === undefined
            ? [{ outcome: 'ok', state }]
            : write(
                state,
                [{ row: id, title, files: allFiles(kind, field, files(state)), kind: 'insert', ...common }],
                present,
              ),
        isWrite: true,
      }
    }
    if (what === 'copy' && this.#state.row(otherId) === undefined) return undefined
    const set = columns.map((column) =>
      what === 'null'
        ? `${column} = NULL`
        : `${column} = (SELECT ${column} FROM ${table} WHERE ${key} = ${literal(other)})`,
    )
    return {
      text:
        what === 'null'
          ? `UPDATE ${id} SET ${field.path} = NULL`
          : `UPDATE ${id} SET ${field.path} = that of ${otherId}`,
      run: () => manager.query(`UPDATE ${table} SET ${set} WHERE ${key} = ${literal(number)}`),
      promise: (state, present) =>
        write(
          state,
          [
            {
              row: id,
              title: undefined,
              files: allFiles(kind, field, what === 'null' ? [] : files(state)),
              kind: 'update',
              ...common,
            },
          ],
          present,
        ),
      isWrite: true,
    }
  }

  /** Files go from one row, or field, to another. */
  async #move({ on, way, saves }: Action & { do: 'move' }): Promise<Deed | undefined> {
    const { kind, number } = this.#slot(on)
    const from = await this.#find(kind, number)
    if (from === undefined) return undefined
    const isWithin = kind.fields.length > 1
    const to = isWithin ? from : await this.#find(kind, number === 1 ? 2 : 1)
    if (to === undefined) return undefined
    const [source, target] = [kind.fields[way === 'take' ? 1 : 0], kind.fields[way === 'take' ? 0 : 1]].map(
      (field) => field ?? kind.fields[0],
    ) as [Field, Field]
    if (source.isHidden || (source.isRequired && (way === 'give' || way === 'take'))) return undefined
    // A file that was kept by its key alone says nothing of its size.
    const [left, right] = [valueAt(from.entity, source), valueAt(to.entity, target)]
    const give = (handle: Handle, field: Field, value: unknown) => {
      setValue(handle.entity, field, value)
      handle.given[field.path] = keysOf(value)
    }
    give(to, target, left)
    if (way === 'give' || way === 'take') give(from, source, null)
    if (way === 'swap') give(from, source, right)
    const manager = this.#manager
    const changed = way === 'share' ? [to] : [...new Set([to, from])]
    const isOne = saves === 'one' || changed.length === 1 || this.#isMet
    // TypeORM takes two such rows of one save for one: it compares keys as JSON has them, and dates by the second.
    if (isOne && changed.length > 1 && !kind.hasPlainId) return undefined
    const writes = changed.map((handle) => this.#wanted(handle))
    return {
      text: `${way} the ${source.path} of e${from.id} to the ${target.path} of e${to.id} in ${isOne ? 'one save' : 'two saves'}`,
      run: async () => {
        const entities = changed.map(({ entity }) => entity)
        if (isOne) await manager.save(kind.target, entities)
        else for (const entity of entities) await manager.save(kind.target, entity)
      },
      promise: (state, present) => {
        if (isOne) return write(state, writes, present)
        return write(state, writes.slice(0, 1), present).flatMap((first) =>
          first.outcome === 'ok' ? write(first.state, writes.slice(1), present) : [first],
        )
      },
      after: (outcome) => {
        if (outcome === 'ok') for (const handle of changed) this.#learn(handle, false)
        else for (const handle of [from, to]) this.#forget(handle)
      },
      isWrite: true,
    }
  }

  /** What a `save()` of an entity says of its row. */
  #wanted({ id, kind, number, given, title }: Handle, isTransaction = true): Write {
    return {
      row: idOf(kind, number),
      title,
      files: { ...given },
      instance: id,
      lists: listsOf(kind),
      required: requiredOf(kind),
      isTransaction,
      release: 'seen',
      kind: 'save',
    }
  }

  #forget(handle: Handle): void {
    const index = this.#handles.indexOf(handle)
    if (index >= 0) this.#handles.splice(index, 1)
  }

  async #remove(action: Action & { do: 'remove' }): Promise<Deed | undefined> {
    const { kind, number } = this.#slot(action.on)
    const isParent = action.from === 'parent' && kind.parent !== undefined
    const handle =
      action.from === 'kept'
        ? this.#kept(action.entity)
        : isParent
          ? this.#asParent(kind, kind.parent as new () => object, number)
          : await this.#find(kind, number)
    if (handle === undefined || handle.isRemoved) return undefined
    if (action.from === 'kept' && !handle.isInstance) return undefined
    const options: SaveOptions =
      action.how === 'noListeners'
        ? { listeners: false }
        : action.how === 'noTransaction'
          ? { transaction: false }
          : {}
    const target = isParent ? (handle.kind.parent as new () => object) : handle.kind.target
    const id = idOf(handle.kind, handle.number)
    const manager = this.#manager
    return {
      text: `remove e${handle.id} of ${id}${isParent ? ' as its parent' : ''}${action.how === 'usual' ? '' : ` (${action.how})`}`,
      run: () => manager.remove(target, handle.entity, options),
      promise: (state) => remove(state, [id], 'seen'),
      after: (outcome) => {
        handle.isRemoved = outcome === 'ok'
      },
      isWrite: true,
      isRemoval: true,
    }
  }

  async #soft(action: Action & { do: 'softRemove' | 'recover' }): Promise<Deed | undefined> {
    const { kind, number } = this.#slot(action.on)
    if (!kind.isSoft) return undefined
    const handle = await this.#find(kind, number)
    if (handle === undefined) return undefined
    const manager = this.#manager
    return plain(`${action.do} e${handle.id} of ${idOf(kind, number)}`, () =>
      action.do === 'recover'
        ? manager.recover(kind.target, handle.entity)
        : manager.softRemove(kind.target, handle.entity),
    )
  }

  /** An album is saved with its pictures. */
  async #family({ on, edit, value, file }: Action & { do: 'family' }): Promise<Deed | undefined> {
    const { kind, number } = this.#slot(on)
    if (kind.name !== 'Album') return undefined
    const manager = this.#manager
    const album = (await manager.findOne(kind.target, {
      where: { id: number } as object,
      relations: { pictures: true } as object,
    })) as (Record<string, unknown> & { pictures: Record<string, unknown>[] }) | null
    if (album === null) return undefined
    const pictureKind = kindOf('Picture')
    const parent = this.#keep(kind, number, album, true)
    const children = album.pictures.map((picture) =>
      this.#keep(pictureKind, picture.id as number, picture, true),
    )
    const [first] = children
    if ((edit === 'change' || edit === 'drop') && first === undefined) return undefined
    let changed = parent
    if (edit === 'push') {
      const free = [1, 2, 3]
        .map((index) => number * 10 + index)
        .find((id) => !children.some((child) => child.number === id))
      if (free === undefined) return undefined
      const picture = Object.assign(new pictureKind.target(), { id: free, title: this.#newTitle() })
      changed = this.#keep(pictureKind, free, picture, false)
      album.pictures.push(picture as never)
      children.push(changed)
    } else if (edit === 'change') changed = first as Handle
    const field = changed.kind.fields[0] as Field
    const setting =
      edit === 'drop'
        ? undefined
        : await this.#setting(value === 'pending' ? 'upload' : value, { file }, field, changed, 'set')
    if (edit === 'drop') album.pictures.shift()
    else if (setting === undefined || setting.isInvalid) return undefined
    else if (setting.keys !== undefined) {
      setValue(changed.entity, field, setting.real)
      changed.given[field.path] = setting.keys
    }
    const dropped = edit === 'drop' ? (children.shift() as Handle) : undefined
    const family = [parent, ...children]
    const writes = family.map((handle) => this.#wanted(handle))
    const isNew = new Set(family.filter((one) => this.#state.row(idOf(one.kind, one.number)) === undefined))
    const what =
      dropped === undefined
        ? `${idOf(changed.kind, changed.number)} ${setting?.text ?? ''}`
        : `without ${dropped.number}`
    return {
      text: `save album ${number} with its pictures, ${edit} ${what}`,
      offered: setting?.keys === undefined ? [] : [...setting.keys],
      run: () => manager.save(kind.target, album),
      promise: (state, present) =>
        write(state, writes, present).flatMap((branch) =>
          branch.outcome === 'ok' && dropped !== undefined
            ? remove(branch.state, [idOf(pictureKind, dropped.number)], 'seen')
            : [branch],
        ),
      after: (outcome) => {
        for (const handle of family) {
          if (outcome === 'ok') this.#learn(handle, isNew.has(handle))
          else this.#forget(handle)
        }
        if (dropped !== undefined) this.#forget(dropped)
      },
      isWrite: true,
    }
  }

  #discard({ file: index, as }: Action & { do: 'discard' }): Deed | undefined {
    const file = this.#files.at(-1 - index)
    if (file === undefined) return undefined
    const discarded = as === 'record' ? new S3File(file.toRecord()) : file
    const key = shortKey(file.key)
    const isMet = this.#isMet
    return {
      text: `discard ${key}${as === 'record' ? ' from its record' : ''}`,
      run: () => discarded.discard(),
      promise: (state) => [
        ...discard(state, key, this.#isOpen && !this.#world.isServer),
        // A janitor that works on the object just then is not waited for.
        ...(isMet ? [{ outcome: 'file-saved' as const, state }] : []),
      ],
      isWrite: true,
      isDiscard: true,
    }
  }
}

/** How a value that is no file of this DataSource is refused. */
const misuse: Outcome[] = ['invalid-value', 'not-a-file']

/** A step that finds locks of another one that is under way. */
function mayWait(deed: Deed): Deed {
  const { promise, offered = [] } = deed
  return { ...deed, promise: (state, present) => [...promise(state, present), locked(state, offered)] }
}

function plain(text: string, run: () => Promise<unknown>): Deed {
  return { text, run, promise: (state) => [{ outcome: 'ok', state }], isWrite: false }
}

async function attempt({ run, text }: Deed): Promise<{ outcome: Outcome; text: string }> {
  try {
    await withinTime(run(), 'the step')
    return { outcome: 'ok', text: 'ok' }
  } catch (error) {
    if (error instanceof Violation) throw error
    if (isLocked(error)) return { outcome: 'locked', text: 'would have to wait' }
    if (isS3FileError(error)) {
      const code = error.code as string
      if (['file-gone', 'file-changed', 'file-saved', 'invalid-value', 'not-a-file'].includes(code)) {
        return { outcome: code as Outcome, text: code }
      }
      throw new Violation(`${text} threw ${code}: ${error.message} (cause: ${error.cause})`)
    }
    if (error instanceof QueryFailedError) return { outcome: 'database', text: `database: ${error.message}` }
    throw new Violation(`${text} threw ${shortStack(error)}`)
  }
}

/** A lock that was not to be had in time, or a deadlock, whoever says so. */
function isLocked(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, errno } = cause as { code?: string; errno?: number }
    if (code === '55P03' || code === '40P01' || errno === 1205 || errno === 1213) return true
    const { driverError } = cause as { driverError?: unknown }
    if (driverError !== undefined && driverError !== cause && isLocked(driverError)) return true
  }
  return false
}

/** The error and the part of the package, or of TypeORM, that it comes from. */
function shortStack(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const calls = [...(error.stack ?? '').matchAll(/at (?:async )?(\S+) .*?(?:\/src|\/typeorm)\/(\S+?):\d+\)/g)]
  return `${error.name}: ${error.message} in ${calls
    .slice(0, 3)
    .map(([, name, file]) => `${name} (${file})`)
    .join(', ')}`
}

async function withinTime<Result>(work: Promise<Result>, what: string): Promise<Result> {
  const stop = new AbortController()
  const late = sleep(hangMs, undefined, { signal: stop.signal }).then(() => {
    throw new Violation(`${what} did not end within ${hangMs} ms`)
  })
  late.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    stop.abort()
  }
}

/** One after the other. */
function compose(
  state: State,
  [first, ...others]: Deed[],
  present: ReadonlySet<string>,
): { outcomes: Outcome[]; state: State }[] {
  if (first === undefined) return [{ outcomes: [], state }]
  return first.promise(state, present).flatMap((one) =>
    compose(one.state, others, present).map(({ outcomes, state }) => ({
      outcomes: [one.outcome, ...outcomes],
      state,
    })),
  )
}

/** What is not as a state has it. */
function complaint(state: State, { rows, objects }: Observed, isServer: boolean): string | undefined {
  const expected = isServer ? state.committed : state.view()
  for (const [id, row] of rows === undefined ? [] : expected) {
    const found = rows?.get(id)
    if (found === undefined) return `there is no row ${id} any more`
    if (found.title !== row.title) return `the title of ${id} is ${found.title}, not ${row.title}`
    for (const [field, files] of Object.entries(row.files)) {
      const had = found.files[field] ?? []
      const isFine = row.isMerged ? isSame([...had].sort(), [...files].sort()) : isSame(had, files)
      if (!isFine) return `${field} of ${id} is [${had}], not [${files}]`
    }
  }
  for (const id of rows?.keys() ?? [])
    if (!expected.has(id)) return `there is a row ${id}, which should not be`
  for (const [id, row] of state.committed) {
    for (const key of Object.values(row.files).flat()) {
      if (!objects.has(key)) return `the committed row ${id} refers to ${key}, which is deleted`
    }
  }
  for (const [key, fate] of state.fates) {
    if (state.isReferred(key)) continue
    if (fate === 'unsaved' && !objects.has(key)) return `the upload ${key} was deleted before it was saved`
    if (fate === 'gone' && objects.has(key)) return `${key} was not deleted, and no row refers to it`
  }
  return undefined
}

function adoptOrder(state: State, { rows }: Observed): void {
  for (const [id, row] of state.view()) {
    const found = rows?.get(id)
    if (row.isMerged && found !== undefined) state.setRow(id, { title: row.title, files: found.files })
  }
}

function distinct(states: State[]): State[] {
  return [...new Map(states.map((state) => [fingerprint(state), state])).values()]
}

function fingerprint(state: State): string {
  const { committed, levels, fates, known, poisoned, isDoomed } = state
  return JSON.stringify([
    [...committed],
    levels.map((level) => [
      [...level.rows],
      [...level.released],
      [...level.offered],
      [...level.undone],
      [...level.known],
    ]),
    [...fates],
    [...known],
    [...poisoned],
    [...state.aged],
    [...state.moved],
    [...state.looked],
    isDoomed,
  ])
}

function kindOf(name: string): Kind {
  return kinds.find((kind) => kind.name === name) as Kind
}

function idOf({ name }: Kind, number: number): string {
  return `${name} ${number}`
}

function listsOf({ fields }: Kind): string[] {
  return fields.filter(({ isList }) => isList).map(({ path }) => path)
}

function requiredOf({ fields }: Kind): string[] {
  return fields.filter(({ isRequired }) => isRequired).map(({ path }) => path)
}

function allFiles({ fields }: Kind, { path }: Field, files: Files): Record<string, Files | undefined> {
  return Object.fromEntries(fields.map((field) => [field.path, field.path === path ? files : undefined]))
}

/** The keys of what a property holds; undefined where it holds nothing that is known. */
function keysOf(value: unknown): Files | undefined {
  if (value === undefined) return undefined
  return [value]
    .flat()
    .filter(isS3File)
    .map(({ key }) => shortKey(key))
}

function valueAt(entity: object, { path }: Field): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], entity)
}

function setValue(entity: Record<string, unknown>, { path }: Field, value: unknown): void {
  const [name, inner] = path.split('.') as [string, string | undefined]
  if (inner === undefined) entity[name] = value
  else entity[name] = Object.assign((entity[name] as object | undefined) ?? {}, { [inner]: value })
}

function nested(path: string, value: unknown): object {
  const [name, inner] = path.split('.') as [string, string | undefined]
  return { [name]: inner === undefined ? value : { [inner]: value } }
}

/** A shallow copy, whose embedded objects are copies too. */
function detached(entity: Record<string, unknown>): Record<string, unknown> {
  const copy = { ...entity }
  if (typeof copy.part === 'object' && copy.part !== null) copy.part = { ...copy.part }
  for (const [name, value] of Object.entries(copy)) if (Array.isArray(value)) copy[name] = [...value]
  return copy
}

function show(files: Record<string, Files | undefined>): string {
  const shown = Object.entries(files).map(
    ([path, keys]) => `${path}: ${keys === undefined ? '?' : `[${keys}]`}`,
  )
  return `{ ${shown.join(', ')} }`
}
