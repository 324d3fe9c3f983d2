import { bytesOfCase } from './case.mjs'
import { bytesOf } from './grammar.mjs'

/** What may be said of a body that was changed at random, when it is not what it was. */
const refusals = [
  'malformed-body',
  'truncated-body',
  'request-too-large',
  'field-too-large',
  'file-name-too-long',
  'part-header-too-large',
  'too-many-files',
  'too-many-fields',
  'too-many-parts',
]

/**
 * What is wrong with what became of a case, or undefined.
 *
 * @param outcome `{ files: [[field, [{ name, size, bytes }]]], fields: [[name, [value]]] }`, or `{ code, ... }`
 */
export function flawOf(given, outcome) {
  if (outcome.flaw !== undefined) return outcome.flaw
  const { sent, whole } = bytesOfCase(given)
  const isWhole = sent.length === whole.length
  // All of it may have come before the client went.
  const isComplete = given.end === 'whole' || (isWhole && given.framing === 'length')
  if (outcome.code === undefined) {
    if (!isComplete) return 'a file of a client that was gone was stored'
    return flawOfForm(given, sent, outcome)
  }
  const expected = expectedCodes(given, sent)
  if (expected.includes(outcome.code)) return undefined
  return `the error is ${outcome.code} ("${outcome.message}"), not ${expected.join(' or ') || 'none at all'}`
}

/** With which codes a case may be refused. */
function expectedCodes({ form, mutations, end }, sent) {
  const gone = {
    whole: [],
    fin: ['client-gone'],
    reset: ['client-gone'],
    stall: ['request-timeout', 'too-slow'],
  }[end]
  if (mutations.length > 0) return [...refusals, ...gone]
  if (form.refusal !== undefined) {
    return end === 'whole' && sent.length === bytesOfCase({ form, mutations }).whole.length
      ? [form.refusal]
      : [form.refusal, 'truncated-body', ...gone]
  }
  if (end !== 'whole') return gone
  return splitForm(sent, form.boundary) === undefined ? ['truncated-body'] : []
}

function flawOfForm({ form, mutations, keep }, sent, outcome) {
  if (form.refusal !== undefined && keep === undefined) return `it was stored, instead of ${form.refusal}`
  const contents = splitForm(sent, form.boundary)
  if (contents === undefined) return 'it was stored, although it is no whole form'
  return mutations.length > 0 ? flawByContents(contents, outcome) : flawByModel(form, outcome)
}

/** Goes by what the form was made of. */
function flawByModel({ parts }, outcome) {
  const [files, fields] = [new Map(), new Map()]
  for (const { is, content } of parts) {
    if (is.kind === 'none') continue
    const [into, value] =
      is.kind === 'file' ? [files, { name: is.name, bytes: bytesOf(content) }] : [fields, content.text]
    into.set(is.field, [...(into.get(is.field) ?? []), value])
  }
  return (
    flawOfEntries('fields', fields, outcome.fields, (value, told) => value === told) ??
    flawOfEntries(
      'files',
      files,
      outcome.files,
      ({ name, bytes }, told) => told.name === name && bytes.equals(told.bytes),
    )
  )
}

function flawOfEntries(what, expected, told, isSame) {
  const names = told.map(([name]) => name)
  const missing = [...expected.keys()].find((name) => !names.includes(name))
  if (missing !== undefined) return `no ${what} named '${missing}'`
  for (const [name, values] of told) {
    const wanted = expected.get(name)
    if (wanted?.length !== values.length)
      return `${values.length} ${what} named '${name}', not ${wanted?.length ?? 0}`
    const wrong = values.findIndex((value, index) => !isSame(wanted[index], value))
    if (wrong >= 0) return `of the ${what} named '${name}', number ${wrong} is another one`
  }
  return undefined
}

const utf16 = new TextDecoder('utf-16le', { ignoreBOM: true })

/** Goes by the bytes between the boundaries: whatever was stored is the whole of one part, and each of them once. */
function flawByContents(contents, { files, fields }) {
  const left = [...contents]
  const take = (isIt) => {
    const at = left.findIndex(isIt)
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  }
  for (const { name, bytes } of files.flatMap(([, list]) => list)) {
    if (!take((content) => content.equals(bytes))) return `file '${name}' has other bytes than any part`
  }
  for (const [name, values] of fields) {
    for (const value of values) {
      // A change can take the file's name from a part with a charset.
      if (!take((content) => content.toString() === value || utf16.decode(content) === value))
        return `field '${name}' has another value than any part`
    }
  }
  // A file input in which nothing was chosen.
  return left.some((content) => content.length > 0) ? 'a part was passed over' : undefined
}

/** The contents of a form's parts; undefined when it does not come to its end. Looks at the whole of it at once. */
function splitForm(body, boundary) {
  const text = Buffer.concat([Buffer.from('\r\n'), body])
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const contents = []
  let at = text.indexOf(delimiter)
  while (at >= 0) {
    const next = at + delimiter.length
    if (text.toString('latin1', next, next + 2) === '--') return contents
    let lineEnd = next
    while (text[lineEnd] === 32 || text[lineEnd] === 9) lineEnd++
    const isLine = text.toString('latin1', lineEnd, lineEnd + 2) === '\r\n'
    const headerEnd = isLine ? text.indexOf('\r\n\r\n', lineEnd) : -1
    if (headerEnd < 0) return undefined
    at = text.indexOf(delimiter, headerEnd + 2)
    contents.push(text.subarray(Math.min(headerEnd + 4, at), at))
  }
  return undefined
}
