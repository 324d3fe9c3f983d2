import { describe, expect, it } from 'vitest'
import { guides, type OptionRow, optionRowsOf } from './markdown.ts'
import { type OptionGroup, optionGroups } from './option-groups.ts'
import { type DocumentedOption, optionsOf } from './option-interfaces.ts'
import { publicNames } from './public-names.ts'
import { type Bounds, boundsIn, literalIn, wrongGlosses } from './quantities.ts'

const allRows = guides.flatMap(optionRowsOf)

/** Numbers that count, or name a place in something; all others have their unit in their name. */
const counts = [
  ...['files', 'fields', 'parts', 'partHeaders', 'concurrent', 'queued', 'batchSize', 'maxConcurrentParts'],
  ...['port', 'start', 'end'],
]

/** Those that others extend, and those that the package gives to code of the application. */
const notTaken = ['DiagnoseOptions', 'FileRules', 'PutOptions', 'S3FileErrorOptions', 'TargetOptions']

it('every interface of options is compared with the code that takes them', () => {
  const named = publicNames
    .map(({ name }) => name)
    .filter((name) => /^[A-Z].*(?:Options|Limits|Rules|Params|QueryParam)$/.test(name))
  expect([...optionGroups.map(({ name }) => name), ...notTaken].sort()).toEqual(named.sort())
})

it('every name in a table of options is that of an option', () => {
  const wrong = allRows.flatMap(({ page, line, interfaces, names }) => {
    const known = interfaces.flatMap(optionsOf).map(({ name }) => name)
    return names.filter((name) => !known.includes(name)).map((name) => `${name} in ${page}:${line}`)
  })
  expect(wrong).toEqual([])
})

describe.each(optionGroups)('the options of $name', (group) => {
  const rows = allRows.filter(({ interfaces }) => interfaces.includes(group.name))
  const options = optionsOf(group.name).filter(({ type }) => type !== 'group')

  it('are each in a table of a page', () => {
    const described = rows.flatMap(({ names }) => names)
    expect(options.map(({ name }) => name).filter((name) => !described.includes(name))).toEqual([])
  })

  it('that are numbers have their unit in their name', () => {
    const numbers = options.filter(({ name, type }) => type === 'number' && !counts.includes(name))
    expect(numbers.filter(({ name }) => !/Bytes|Second/.test(name))).toEqual([])
  })

  describe.each(options)('$name', (option) => {
    it('is checked, and its docstring has the bounds and the default of the code', async () => {
      const { docstring } = option
      const bounds = boundsIn(await expectationOf(group, option))
      expect(docstring).not.toBe('')
      if (bounds !== undefined && needsWords(bounds)) expect(boundsIn(docstring), docstring).toEqual(bounds)
      expect(literalIn(docstring.split('@default ')[1] ?? ''), docstring).toEqual(defaultOf(group, option))
      expect(wrongGlosses(docstring)).toEqual([])
    })

    const own = rows.filter(({ names }) => names.includes(option.name))
    it.each(own)('has the bounds, the values and the default of the code in $page:$line', async (row) => {
      const expectation = await expectationOf(group, option)
      const text = Object.values(row.cells).join(' | ')
      if (row.names.length === 1) {
        expect(boundsIn(text) ?? boundsIn(expectation), text).toEqual(boundsIn(expectation))
        for (const value of expectation.match(/'[^']+'/g) ?? []) expect(text).toContain(`\`${value}`)
      }
      if ('default' in row.cells) expect(statedDefault(row, option), text).toEqual(defaultOf(group, option))
    })
  })
})

/** What the code says that the option takes, when it is given what no option takes. */
async function expectationOf(
  { give, name: group }: OptionGroup,
  { name }: DocumentedOption,
): Promise<string> {
  const [first = '', second] = name.split('.')
  const wrong = Symbol('no value')
  const given = { [first]: second === undefined ? wrong : { [second]: wrong } }
  const error: unknown = await Promise.resolve()
    .then(() => give(given as never))
    .catch((reason: unknown) => reason)
  const complaint = new RegExp(`option '${second ?? first}' takes (.+), not Symbol`)
  const expectation = complaint.exec((error as Error)?.message)?.[1]
  if (expectation === undefined) throw new Error(`${group} takes anything as '${name}': ${error}`)
  return expectation
}

/** Nobody has to be told that a number is not negative. */
function needsWords({ from, to }: Bounds): boolean {
  return from > 0 || Number.isFinite(to)
}

function defaultOf({ defaults }: OptionGroup, { name }: DocumentedOption): unknown {
  const value = name
    .split('.')
    .reduce<unknown>((found, step) => (found as Record<string, unknown> | undefined)?.[step], defaults)
  return typeof value === 'function' ? undefined : value
}

/** A cell has one default for all options of its row, or one for each. */
function statedDefault({ cells, names }: OptionRow, { name }: DocumentedOption): unknown {
  const each = (cells.default ?? '').split(/, (?![^([]*[)\]])/)
  return literalIn((each.length === names.length ? each[names.indexOf(name)] : each[0]) ?? '')
}
