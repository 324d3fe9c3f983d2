import { randomForm, render, smallForm } from './grammar.mjs'

/**
 * One request, as a plain object: a form, what was done to its bytes, and how they are sent.
 *
 * - `mutations`: of the bytes, in order
 * - `keep`: how many of them are sent, undefined for all
 * - `framing`: `length` or `chunked`
 * - `end`: `whole`, the request is complete for HTTP; or the client ends (`fin`) or resets the connection, or says no more
 *   (`stall`)
 * - `splits`: where the bytes are split; for `chunked` each piece is a chunk, which the server sees by itself
 * - `pauseMs`: between the pieces
 * - `connection`: whether it is to be kept, `keep-alive` unless it is said
 */
export function randomCase(random) {
  const form = randomForm(random)
  const { body, seams } = render(form)
  const mutations =
    random.chance(0.45) && isMutable(form)
      ? Array.from({ length: random.between(1, 4) }, () => randomMutation(random, seams, body.length))
      : []
  const length = mutate(body, mutations).length
  const end = random.weighted({ whole: 80, fin: 8, reset: 12 })
  const nearSeam = () => Math.min(length, Math.max(0, random.pick(seams) + random.between(-80, 3)))
  const place = () => (random.chance(0.5) ? nearSeam() : random.between(0, length))
  const isCut = end !== 'whole' || random.chance(0.15)
  const splits = Array.from({ length: random.pick([0, 0, 1, 2, 5, 50]) }, place)
  return {
    form,
    mutations,
    keep: isCut ? place() : undefined,
    framing: random.pick(['length', 'chunked']),
    end,
    splits: [...new Set(splits)].sort((left, right) => left - right),
    // Longer than small chunks are waited for, to be joined.
    pauseMs: random.chance(0.02) ? 25 : 0,
    connection: random.pick(['keep-alive', 'close']),
  }
}

/** Whether a verdict on any change of it can be given: in another charset, any text can become any other. */
function isMutable({ refusal, parts }) {
  return refusal === undefined && parts.every(({ content }) => content.charset === undefined)
}

/** A small form, cut at each of its bytes, by turns in each way that a body can end. */
export function everyCut(random) {
  const form = smallForm(random)
  const { length } = render(form).body
  const ways = [
    { framing: 'length', end: 'whole' },
    { framing: 'chunked', end: 'whole' },
    { framing: 'length', end: 'fin' },
    { framing: 'chunked', end: 'reset' },
  ]
  const first = random.between(0, ways.length - 1)
  return Array.from({ length: length + 1 }, (_, keep) => {
    const way = ways[(first + keep) % ways.length]
    return { form, mutations: [], keep, ...way, splits: [], pauseMs: 0 }
  })
}

/**
 * The same form between fillings, split at each byte of it: pieces below 4 KiB would be joined before they are looked at,
 * so that each split has more than that behind it.
 */
export function everySplit(random) {
  const small = smallForm(random)
  const filling = (field) => ({
    header: `Content-Disposition: form-data; name="${field}"`,
    content: { text: 'y'.repeat(4200) },
    is: { kind: 'field', field },
  })
  const form = { ...small, parts: [...small.parts, filling('after')] }
  const { body } = render(form)
  const length = body.length - 4096
  return Array.from({ length: length - 1 }, (_, index) => ({
    form,
    mutations: [],
    keep: undefined,
    framing: 'chunked',
    end: 'whole',
    splits: [index + 1],
    pauseMs: 0,
  }))
}

/** A file of several parts, for all that is only made once. */
export function largeCase() {
  const header = 'Content-Disposition: form-data; name="f"; filename="large.bin"'
  const is = { kind: 'file', field: 'f', name: 'large.bin' }
  const parts = [{ header, content: { size: 11 * 1024 * 1024, from: 0 }, is }]
  const form = { boundary: 'b', preamble: '', epilogue: '', parts }
  return { form, mutations: [], keep: undefined, framing: 'length', end: 'whole', splits: [], pauseMs: 0 }
}

/** A client that falls silent somewhere. */
export function stalledCase(random) {
  return { ...randomCase(random), keep: 1, splits: [], end: 'stall', mutations: [] }
}

function randomMutation(random, seams, length) {
  // Mostly where lines, headers and boundaries are.
  const near = () => Math.max(0, random.pick(seams) + random.between(-40, 4))
  const at = random.chance(0.8) ? near() : random.between(0, length)
  const size = random.pick([1, 1, 2, 4, 30, 5000])
  const kind = random.pick(['flip', 'insert', 'delete', 'duplicate', 'swap'])
  if (kind === 'flip') return { kind, at, bit: random.between(0, 7) }
  if (kind !== 'insert') return { kind, at, size }
  const text = random.pick(['\r', '\n', '\r\n', '--', '"', '\0', ';', '\r\n\r\n', '\x80', 'x'.repeat(size)])
  return { kind, at, text }
}

const changes = {
  flip: (body, { at, bit }) => {
    const changed = Buffer.from(body)
    if (at < changed.length) changed[at] ^= 1 << bit
    return changed
  },
  insert: (body, { at, text }) =>
    Buffer.concat([body.subarray(0, at), Buffer.from(text, 'latin1'), body.subarray(at)]),
  delete: (body, { at, size }) => Buffer.concat([body.subarray(0, at), body.subarray(at + size)]),
  duplicate: (body, { at, size }) => Buffer.concat([body.subarray(0, at + size), body.subarray(at)]),
  swap: (body, { at, size }) =>
    Buffer.concat([
      body.subarray(0, at),
      body.subarray(at + size, at + 2 * size),
      body.subarray(at, at + size),
      body.subarray(at + 2 * size),
    ]),
}

function mutate(body, mutations) {
  return mutations.reduce((bytes, mutation) => changes[mutation.kind](bytes, mutation), body)
}

/** All bytes of the body as it would be, and those that are sent of it. */
export function bytesOfCase({ form, mutations, keep }) {
  const whole = mutate(render(form).body, mutations)
  return { whole, sent: keep === undefined ? whole : whole.subarray(0, keep) }
}
