import { createHash } from 'node:crypto'

const KiB = 1024
const MiB = 1024 * KiB

/** What files are filled from: text would be taken for the form's own lines. */
const noise = createHash('shake256', { outputLength: 12 * MiB })
  .update('noise')
  .digest()

/** Each size beside which the code takes another way: none, the staging of small chunks, a socket's chunk, one part, two. */
const edges = [0, 4 * KiB, 64 * KiB, 128 * KiB]
const partEdges = [5 * MiB, 7.5 * MiB, 10 * MiB]

/** As they stand in a header, and what they say: the field's name. */
const fieldNames = [
  ['name="a"', 'a'],
  ['name=token', 'token'],
  ['NAME="loud"', 'loud'],
  ['name="__proto__"', '__proto__'],
  ['name="constructor"', 'constructor'],
  ['name="0"', '0'],
  ['name="list[]"', 'list[]'],
  ['name="a b; c=d"', 'a b; c=d'],
  ['name="quo\\"ted"', 'quo"ted'],
  ['name="größe 报告"', 'größe 报告'],
  ['name="first"; name="second"', 'first'],
  ['name="quo%22ted %41"', 'quo"ted %41'],
  ['name="line%0D%0aend"', 'line\r\nend'],
  ['name = "blank"', 'blank'],
  ['name="back\\slash"', 'back\\slash'],
  ["name*=utf-8''gr%C3%B6%C3%9Fe", 'größe'],
  [`name="${'n'.repeat(100)}"`, 'n'.repeat(100)],
]

/** Node's fetch escapes no backslash. Clients that write a quote as `\\"` do, so that it does not come together with that. */
const endsInBackslash = 'filename="report\\"'

/** The same for a file's name, as it is to be kept. */
const fileNames = [
  ['filename="a.txt"', 'a.txt'],
  ['filename=token.bin', 'token.bin'],
  ['filename="C:\\\\temp\\\\win.txt"', 'win.txt'],
  ['filename="../../etc/passwd"', 'passwd'],
  ['filename="/.."', 'file'],
  ['filename="con.txt"', 'con_.txt'],
  ['filename="a\u202etxt.exe"', 'atxt.exe'],
  ['filename="报告 😀.pdf"', '报告 😀.pdf'],
  ['filename="quo\\"te;d.txt"', 'quo"te;d.txt'],
  ["filename*=UTF-8''%e2%82%ac%20rates.txt", '€ rates.txt'],
  ['filename="plain.txt"; filename*=UTF-8\'\'star.txt', 'star.txt'],
  ['filename="one.txt"; filename="two.txt"', 'one.txt'],
  [`filename="${'é'.repeat(400)}.txt"`, `${'é'.repeat(125)}.txt`],
  ['filename="%2e%2e%2f"', '%2e%2e%2f'],
  ['filename="%22quoted%22%0D%0A.txt"', '"quoted".txt'],
  // As React Native and .NET send it.
  ['filename="IMG (1).jpg"; filename*=utf-8\'\'IMG%20(1).jpg', 'IMG (1).jpg'],
  ['filename="a;b=c.jpg"; filename*=utf-8\'\'a;b=c.jpg', 'a;b=c.jpg'],
  ['filename="=?utf-8?B?4oKs?="; filename*=utf-8\'\'%E2%82%AC.txt', '€.txt'],
  ['filename="plain.txt"; filename*=klingon\'\'x', 'plain.txt'],
  ['filename\t=  "blank.txt"', 'blank.txt'],
  ['filename="semicolon.txt";', 'semicolon.txt'],
  ['filename="unseen.txt. .\u200b"', 'unseen.txt'],
  [endsInBackslash, 'file'],
]

/** Parameters that name no file, beside that of the field. */
const noNames = ['', ';', '; filename=""', "; filename*=utf-8''%zz"]

/** Header lines that mean nothing here. */
const oddLines = [
  'X-Empty:',
  'x-colons: a:b::c',
  'Content-Length: 7',
  'Content-Transfer-Encoding: binary',
  `X-Long: ${'v'.repeat(1500)}`,
  'X-Semi: ;;;"',
]

/** Of files without `filename` at all. */
const binaryTypes = ['application/octet-stream', 'image/png', 'Application/X-Odd; charset=utf-8']

/** Of text fields, with the name that Node's `Buffer` has for the charset, and a text in it. */
const textTypes = [
  ['text/plain; charset=ISO-8859-1', 'latin1', 'Prüfung'],
  ['text/plain;charset="windows-1252"', 'latin1', 'é ü'],
  ['text/plain; charset=UTF-16LE', 'utf16le', '报告\r\n--'],
  ['application/json; charset=utf-8', 'utf8', '{"é":1}'],
  ['text/plain; charset=klingon', 'utf8', '报告'],
]

/** How a request may say the boundary. */
const contentTypes = [
  (quoted) => `multipart/form-data; boundary=${quoted}`,
  (quoted) => `Multipart/Form-Data ;BOUNDARY=${quoted}; charset=utf-8;`,
  (quoted) => `multipart/form-data; x="a\\"; boundary=zz; y="; boundary=${quoted}; boundary=last`,
  (quoted) => `multipart/form-data; x="y"boundary=zz; boundary=${quoted}`,
]

const types = [
  undefined,
  'text/plain',
  'text/html; charset=utf-16',
  'image/png',
  'application/octet-stream',
  'nonsense',
  'multipart/mixed; boundary=inner',
]

const nested = '--inner\r\nContent-Disposition: file; filename="in.txt"\r\n\r\nx\r\n--inner--\r\n'

/** A form as a plain object, from which `render` makes the body: it can be kept in a file, and made smaller. */
export function randomForm(random) {
  const boundary = random.pick([
    'b',
    '----WebKitFormBoundary7MA4YWxkTrZu0gW',
    '-'.repeat(70),
    "a'()+_,-./:=? z",
    'quo"te\\d',
  ])
  const quotedBoundary = `"${boundary.replace(/["\\]/g, '\\$&')}"`
  const count = Number(random.weighted({ 0: 1, 1: 8, 2: 8, 3: 4, 5: 2, 9: 1 }))
  const parts = Array.from({ length: count }, () => randomPart(random, boundary))
  const form = {
    boundary,
    contentType: random.pick(contentTypes)(quotedBoundary),
    contentEncoding: random.pick([undefined, undefined, '', 'identity']),
    padding: random.pick(['', '', '', ' ', '\t  ']),
    preamble: random.pick(['', '', '', 'a preamble\r\n', `${'p'.repeat(1022)}\r\n`, '--\r\n']),
    epilogue: random.pick(['\r\n', '\r\n', '', '\r\nan epilogue', `\r\n${'e'.repeat(1024)}`, '--']),
    parts,
  }
  return random.chance(0.08) ? random.pick(flaws)(form) : form
}

/** A form of a few hundred bytes, with all that the reader has to find in one. */
export function smallForm(random) {
  const boundary = random.pick(['b', 'XyZ'])
  const part = (header, content, is) => ({ header, content: { text: content }, is })
  return {
    boundary,
    preamble: random.pick(['', 'x\r\n']),
    epilogue: random.pick(['', '\r\n', '\r\nend']),
    parts: [
      part('Content-Disposition: form-data; name="t"', `\r\n--${boundary}`.slice(0, -1), {
        kind: 'field',
        field: 't',
      }),
      part(
        'Content-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: text/plain',
        random.pick(['', '\r', `\r\n-\r\n--\r\r\n--${boundary}`.slice(0, -1), 'text']),
        { kind: 'file', field: 'f', name: 'a.bin' },
      ),
    ],
  }
}

function randomPart(random, boundary) {
  const [nameParam, field] = random.pick(fieldNames)
  const lines = Array.from({ length: random.chance(0.3) ? random.between(1, 4) : 0 }, () =>
    random.pick(oddLines),
  )
  if (random.chance(0.5)) {
    const [params, type, content, is] = namelessPart(random, field, boundary)
    lines.push(`Content-Disposition: form-data; ${nameParam}${params}`, `Content-Type: ${type}`)
    return { header: lines.join('\r\n'), content, is }
  }
  const type = random.pick(types)
  const [fileParam, name] = random.pick(
    nameParam.includes('\\"') ? fileNames.filter(([param]) => param !== endsInBackslash) : fileNames,
  )
  lines.splice(
    random.between(0, lines.length),
    0,
    `${random.pick(['Content-Disposition', 'content-disposition'])}: ${random.pick(['form-data', 'Form-Data'])}; ` +
      (random.chance(0.2) ? `${fileParam}; ${nameParam}` : `${nameParam}; ${fileParam}`),
  )
  if (type !== undefined) lines.push(`Content-Type: ${type}`)
  const content = type?.startsWith('multipart') ? { text: nested } : randomContent(random, boundary)
  return { header: lines.join('\r\n'), content, is: { kind: 'file', field, name } }
}

/** The parameters besides the field's name, the type, the content and what it is, of a part without a file name. */
function namelessPart(random, field, boundary) {
  const kind = random.weighted({ text: 60, charset: 15, file: 15, input: 10 })
  const isField = { kind: 'field', field }
  if (kind === 'text') return ['', 'text/plain', { text: randomText(random, boundary) }, isField]
  if (kind === 'input') return ['; filename=""', 'application/octet-stream', { text: '' }, { kind: 'none' }]
  if (kind === 'charset') {
    const [type, charset, text] = random.pick(textTypes)
    return [random.pick(['', ';', '; ']), type, { text, charset }, isField]
  }
  const content = randomContent(random, boundary)
  const isEmpty = bytesOf(content).length === 0
  const is = isEmpty ? { kind: 'none' } : { kind: 'file', field, name: 'file' }
  return [random.pick(noNames), random.pick(binaryTypes), content, is]
}

function randomContent(random, boundary) {
  const kind = random.weighted({ text: 50, small: 30, edge: 20, partEdge: 0.7 })
  if (kind === 'text') return { text: randomText(random, boundary) }
  const around = (size) => Math.max(0, size + random.between(-3, 3))
  const size = {
    small: () => random.between(0, 9000),
    edge: () => around(random.pick(edges)),
    partEdge: () => around(random.pick(partEdges)),
  }[kind]()
  return { size, from: random.between(0, noise.length - size) }
}

/** Text that looks like a boundary, but is none. */
function randomText(random, boundary) {
  const pieces = [
    '\r',
    '\n',
    '\r\n',
    '-',
    '--',
    `--${boundary}`,
    `\r\n--${boundary.slice(0, -1)}`,
    'x',
    'é',
    '\0',
    ' ',
  ]
  const text = Array.from({ length: random.between(0, 20) }, () => random.pick(pieces)).join('')
  const delimiter = `\r\n--${boundary}`
  return `\r\n${text}${delimiter}`.indexOf(delimiter) === text.length + 2 ? text : 'x'
}

const file = { header: 'Content-Disposition: form-data; name="f"; filename="f"', content: { text: 'x' } }
const field = { header: 'Content-Disposition: form-data; name="f"', content: { text: 'x' } }
const odd = (header, content = 'x') => ({ header, content: { text: content } })
const withPart =
  (code, ...more) =>
  (form) => ({
    ...form,
    parts: [...form.parts.slice(0, 1), ...more],
    refusal: code,
  })
const times = (count, part) => Array.from({ length: count }, () => part)

/** Each makes a form that must be refused, and says with which code. */
const flaws = [
  withPart('too-many-files', ...times(11, file)),
  withPart('too-many-fields', ...times(101, field)),
  withPart('part-header-too-large', odd(`${'X: 1\r\n'.repeat(32)}${file.header}`)),
  withPart('part-header-too-large', odd(`X: ${'v'.repeat(9000)}\r\n${file.header}`)),
  withPart('field-too-large', odd(`Content-Disposition: form-data; name="${'n'.repeat(101)}"`)),
  withPart('file-name-too-long', odd(`${file.header.slice(0, -1)}${'n'.repeat(1024)}"`)),
  withPart('malformed-body', odd('Content-Disposition: form-data; filename="nameless"')),
  withPart('malformed-body', odd('Content-Disposition: attachment; name="f"; filename="f"')),
  withPart('malformed-body', odd('Content-Type: text/plain')),
  withPart('malformed-body', odd(`${file.header}\r\nContent-Transfer-Encoding: base64`)),
  withPart(
    'malformed-body',
    odd('Content-Disposition: form-data; name="f"; filename=""\r\nContent-Transfer-Encoding: base64'),
  ),
  withPart('malformed-body', odd('Content-Disposition: form-data; name="f" x; filename="f"')),
  (form) => ({ ...form, preamble: `${'p'.repeat(1025)}\r\n`, refusal: 'request-too-large' }),
  (form) => ({ ...form, epilogue: `\r\n${'e'.repeat(1025)}`, refusal: 'request-too-large' }),
  (form) => ({ ...form, close: '', epilogue: '', refusal: 'truncated-body' }),
  (form) => ({ ...form, close: '-x', refusal: 'malformed-body' }),
]

const crlf = Buffer.from('\r\n')

/** The bytes of a form, and the places in it where one thing ends and another begins. */
export function render({ boundary, preamble, epilogue, parts, padding = '', close = '--' }) {
  const pieces = [Buffer.from(preamble)]
  const seams = []
  let length = pieces[0].length
  const add = (bytes) => {
    pieces.push(bytes)
    length += bytes.length
    seams.push(length)
  }
  for (const { header, content } of parts) {
    add(Buffer.from(`--${boundary}${padding}\r\n`))
    add(Buffer.from(`${header}\r\n\r\n`))
    add(bytesOf(content))
    add(crlf)
  }
  add(Buffer.from(`--${boundary}${close}`))
  add(Buffer.from(epilogue))
  return { body: Buffer.concat(pieces), seams }
}

export function bytesOf(content) {
  return content.text === undefined
    ? noise.subarray(content.from, content.from + content.size)
    : Buffer.from(content.text, content.charset)
}
