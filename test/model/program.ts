import fc from 'fast-check'
import { kinds } from './entities.ts'

/** Where the entity that is saved or removed comes from. */
type Source =
  | 'load'
  | 'part'
  | 'kept'
  | 'new'
  | 'create'
  | 'plain'
  | 'preload'
  | 'merge'
  | 'spread'
  | 'assign'
  | 'createCopy'
  | 'parent'

/** What a file property is set to. */
type Value =
  | 'same'
  | 'upload'
  | 'clear'
  | 'other'
  | 'known'
  | 'record'
  | 'discarded'
  | 'promise'
  | 'foreign'
  | 'plainObject'
  | 'pending'

/** How a list takes a value: at its end, in place of all, or it loses or turns what it has. */
type ListChange = 'push' | 'set' | 'shift' | 'turn'

export interface Save {
  do: 'save'
  on: number
  from: Source
  title: 'same' | 'new' | 'taken'
  value: Value
  list: ListChange
  /** Which field, which kept entity, which known file: counted from the latest. */
  field: number
  entity: number
  file: number
  how: 'usual' | 'noListeners' | 'noTransaction'
}

export type Action =
  | Save
  | { do: 'load'; on: number; part: 'all' | 'title' | 'file'; through: 'own' | 'parent' }
  | { do: 'upload' }
  | {
      do: 'statement'
      on: number
      kind: 'insert' | 'update' | 'upsert' | 'delete' | 'updateAll' | 'clear'
      via: 'repository' | 'builder' | 'silent'
      value: Value
      field: number
      file: number
    }
  | { do: 'raw'; on: number; kind: 'copy' | 'insert' | 'null'; field: number }
  | { do: 'move'; on: number; way: 'give' | 'take' | 'swap' | 'share'; saves: 'one' | 'two' }
  | { do: 'remove'; on: number; from: 'load' | 'kept' | 'parent'; entity: number; how: Save['how'] }
  | { do: 'softRemove' | 'recover'; on: number; entity: number }
  | {
      do: 'family'
      on: number
      edit: 'push' | 'change' | 'drop' | 'cover'
      value: Value
      file: number
    }
  | { do: 'discard'; file: number; as: 'itself' | 'record' }
  | { do: 'begin' | 'commit' | 'rollback' }
  | { do: 'janitor'; isAged: boolean }
  | { do: 'reconcile' }
  | { do: 'settle' }

export interface Step {
  action: Action
  /** Steps of other sessions, each when so many statements and requests of this one have been made since the last. */
  meanwhile: { after: number; action: Action }[]
  /** 1: a session of its own, beside an open transaction. */
  by: 0 | 1
  /** Whether the program goes on with the transaction in which the step has failed, and does not roll it back. */
  isCaught: boolean
  /** Whether the next step begins while the clean-up in the background is still at work. */
  isHasty: boolean
}

export interface Program {
  /** Names of one or two kinds of rows. */
  kinds: string[]
  /** What the rows have before the first step: of each kind two may be there. */
  rows: ('none' | 'empty' | 'file' | 'files')[]
  steps: Step[]
}

/** What a program does not use, as `kind:Columns`, `from:spread`, `value:other`, `do:raw`, `how:noListeners`, `meanwhile`, `hasty`, `caught` or `by`. */
export type Without = ReadonlySet<string>

/** Alternatives by weight, the simplest first, without those that are left out. */
function pick<Name extends string>(
  axis: string,
  weights: Partial<Record<Name, number>>,
  without: Without,
): fc.Arbitrary<Name> {
  const left = Object.entries(weights).filter(([name]) => !without.has(`${axis}:${name}`)) as [Name, number][]
  const [first] = Object.entries(weights) as [Name, number][]
  const used = left.length > 0 ? left : ([first] as [Name, number][])
  return fc.oneof(
    { withCrossShrink: true },
    ...used.map(([name, weight]) => ({ weight: Math.ceil(weight * 4), arbitrary: fc.constant(name) })),
  )
}

/** Small numbers, mostly the smallest. */
const few = fc.oneof(
  { withCrossShrink: true },
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.constant(2) },
)

/** What programs do without in which sessions meet: few kinds of steps, so that those that race come together often. */
const beyondRaces = [
  ...kinds
    .filter(({ name }) => !['Json', 'Columns', 'List', 'Pair'].includes(name))
    .map(({ name }) => `kind:${name}`),
  ...['record', 'discarded', 'promise', 'foreign', 'plainObject', 'pending'].map((name) => `value:${name}`),
  ...['plain', 'preload', 'merge', 'spread', 'assign', 'createCopy', 'create', 'parent'].map(
    (name) => `from:${name}`,
  ),
  ...['statement', 'raw', 'soft', 'discard', 'settle', 'family'].map((name) => `do:${name}`),
  'title:taken',
  'way:swap',
  'way:share',
]

export function programs(without: Without, isServer: boolean): fc.Arbitrary<Program> {
  return fc.oneof(
    { withCrossShrink: true },
    { weight: 3, arbitrary: programsOf(without, isServer, 1) },
    { weight: 1, arbitrary: programsOf(new Set([...without, ...beyondRaces]), isServer, 10) },
  )
}

function programsOf(without: Without, isServer: boolean, meetings: number): fc.Arbitrary<Program> {
  const value = pick<Value>(
    'value',
    {
      same: 6,
      upload: 8,
      clear: 4,
      other: 3,
      known: 4,
      record: 3,
      discarded: 1,
      promise: 0.5,
      foreign: 0.5,
      plainObject: 0.25,
      pending: 2,
    },
    without,
  )
  const how = pick<Save['how']>('how', { usual: 8, noListeners: 1, noTransaction: 1 }, without)
  const on = fc.oneof(
    { withCrossShrink: true },
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(2) },
    { weight: 1, arbitrary: fc.constant(3) },
  )
  const save = fc.record({
    do: fc.constant('save' as const),
    on,
    from: pick<Source>(
      'from',
      {
        load: 4,
        kept: 8,
        part: 2,
        new: 2,
        create: 2,
        plain: 3,
        preload: 1,
        merge: 1,
        spread: 1,
        assign: 1,
        createCopy: 1,
        parent: 1,
      },
      without,
    ),
    title: pick<Save['title']>('title', { same: 5, new: 4, taken: 1 }, without),
    value,
    list: pick<ListChange>('list', { push: 4, set: 1, shift: 2, turn: 1 }, without),
    field: few,
    entity: few,
    file: few,
    how,
  })
  const actions: Record<string, [number, fc.Arbitrary<Action>]> = {
    load: [
      4,
      fc.record({
        do: fc.constant('load' as const),
        on,
        part: pick('part', { all: 3, title: 2, file: 1 }, without),
        through: pick('through', { own: 4, parent: 1 }, without),
      }),
    ],
    upload: [1, fc.record({ do: fc.constant('upload' as const) })],
    save: [12, save],
    statement: [
      3,
      fc.record({
        do: fc.constant('statement' as const),
        on,
        kind: pick(
          'statement',
          { update: 4, insert: 3, upsert: 2, delete: 2, updateAll: 1, clear: 1 },
          without,
        ),
        via: pick('via', { repository: 3, builder: 1, silent: 1 }, without),
        value,
        field: few,
        file: few,
      }),
    ],
    raw: [
      1,
      fc.record({
        do: fc.constant('raw' as const),
        on,
        kind: pick('raw', { copy: 2, insert: 1, null: 1 }, without),
        field: few,
      }),
    ],
    move: [
      1,
      fc.record({
        do: fc.constant('move' as const),
        on,
        way: pick('way', { give: 2, take: 2, swap: 1, share: 1 }, without),
        saves: pick('saves', { one: 2, two: 1 }, without),
      }),
    ],
    remove: [
      2,
      fc.record({
        do: fc.constant('remove' as const),
        on,
        from: pick('remove', { load: 3, kept: 3, parent: 1 }, without),
        entity: few,
        how,
      }),
    ],
    soft: [0.5, fc.record({ do: pick('do', { softRemove: 1, recover: 1 }, without), on, entity: few })],
    family: [
      2,
      fc.record({
        do: fc.constant('family' as const),
        on,
        edit: pick('edit', { push: 4, change: 2, drop: 1, cover: 1 }, without),
        value,
        file: few,
      }),
    ],
    discard: [
      2,
      fc.record({
        do: fc.constant('discard' as const),
        file: few,
        as: pick('as', { itself: 3, record: 1 }, without),
      }),
    ],
    begin: [2, fc.record({ do: fc.constant('begin' as const) })],
    commit: [1, fc.record({ do: fc.constant('commit' as const) })],
    rollback: [1.5, fc.record({ do: fc.constant('rollback' as const) })],
    janitor: [1, fc.record({ do: fc.constant('janitor' as const), isAged: fc.boolean() })],
    reconcile: [0.5, fc.record({ do: fc.constant('reconcile' as const) })],
    settle: [0.5, fc.record({ do: fc.constant('settle' as const) })],
  }
  const among = (axis: string, names: string[], factors: Record<string, number> = {}) =>
    fc.oneof(
      { withCrossShrink: true },
      ...names
        .filter((name) => !without.has(`do:${name}`) && !without.has(`${axis}:${name}`))
        .map((name) => {
          const [weight, arbitrary] = actions[name] as [number, fc.Arbitrary<Action>]
          return { weight: Math.ceil(weight * 4 * (factors[name] ?? 1)), arbitrary }
        }),
    )
  const rarely = (axis: string, weight = 1) =>
    without.has(axis)
      ? fc.constant(false)
      : fc.oneof(
          { withCrossShrink: true },
          { weight: 9, arbitrary: fc.constant(false) },
          { weight, arbitrary: fc.constant(true) },
        )
  const by = fc.constantFrom<(0 | 1)[]>(
    ...(isServer && !without.has('by') ? ([0, 0, 1] as const) : [0 as const]),
  )
  const alone: fc.Arbitrary<Step> = fc.record({
    action: among('alone', Object.keys(actions)),
    meanwhile: fc.constant([]),
    by,
    isCaught: rarely('caught', 3),
    isHasty: rarely('hasty'),
  })
  const met: fc.Arbitrary<Step> = fc.record({
    action: among('met', ['save', 'statement', 'move', 'remove', 'discard', 'janitor', 'reconcile'], {
      janitor: 2,
      reconcile: 8,
    }),
    meanwhile: fc.array(
      fc.record({
        after: fc.oneof(
          { withCrossShrink: true },
          { weight: 2, arbitrary: few },
          { weight: 1, arbitrary: fc.nat({ max: 12 }) },
        ),
        action: among(
          'meanwhile',
          ['save', 'statement', 'move', 'remove', 'discard', 'janitor', 'reconcile'],
          {
            janitor: 4,
            move: 4,
          },
        ),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    by,
    isCaught: rarely('caught', 3),
    isHasty: fc.constant(false),
  })
  const step = without.has('meanwhile')
    ? alone
    : fc.oneof(
        { withCrossShrink: true },
        { weight: 5, arbitrary: alone },
        { weight: meetings, arbitrary: met },
      )
  const kind = fc.oneof(
    { withCrossShrink: true },
    ...kinds.filter(({ name }) => !without.has(`kind:${name}`)).map(({ name }) => fc.constant(name)),
  )
  return fc.record({
    kinds: fc.array(kind, { minLength: 1, maxLength: 2 }),
    rows: fc.array(pick<Program['rows'][number]>('rows', { none: 1, file: 4, empty: 1, files: 1 }, without), {
      minLength: 4,
      maxLength: 4,
    }),
    steps: fc.array(step, { minLength: 1, maxLength: 8, size: 'max' }),
  })
}
