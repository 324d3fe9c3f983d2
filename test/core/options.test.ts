import { describe, expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { checkOptions, option } from '../../src/core/options.ts'

const known = {
  maxSizeBytes: option.integer(0),
  keyPrefix: option.text,
  accept: option.strings,
  expiresInSeconds: option.integer(1),
}

function complaint(given: unknown): string {
  try {
    checkOptions('upload', given, known)
  } catch (error) {
    if (isS3FileError(error)) return `${error.code}: ${error.message}`
    throw error
  }
  return 'none'
}

describe('checkOptions', () => {
  it('lets known options pass, and counts undefined as not given', () => {
    expect(complaint({ maxSizeBytes: 0, keyPrefix: '', accept: undefined })).toBe('none')
  })

  it.each([
    ['maxSizeByte', "; did you mean 'maxSizeBytes'?"],
    ['MAXSIZEBYTES', "; did you mean 'maxSizeBytes'?"],
    ['prefix', "; did you mean 'keyPrefix'?"],
    ['acept', "; did you mean 'accept'?"],
    ['maxSize', "; did you mean 'maxSizeBytes'?"],
    ['expiresIn', "; did you mean 'expiresInSeconds'?"],
    ['expires', "; did you mean 'expiresInSeconds'?"],
    ['zzz', ''],
    ['constructor', ''],
  ])('names the nearest option to %s, if one is near', (name, hint) => {
    expect(complaint({ [name]: 1 })).toBe(`unknown-option: upload: there is no option '${name}'${hint}`)
  })

  it('says where an option belongs that is known elsewhere', () => {
    const places = new Map([['region', 'clientConfig: { region }']])
    expect(() => checkOptions('upload', { region: 'x' }, known, places)).toThrow(
      expect.objectContaining({
        code: 'unknown-option',
        message: "upload: there is no option 'region'. Put it into clientConfig: { region }.",
      }),
    )
  })

  it('repeats no password of a URL that it refuses', () => {
    expect(complaint({ maxSizeBytes: 'https://me:hunter2@host/' })).toMatch(/not 'https:\/\/\*\*\*@host\/'$/)
  })

  it('refuses an unknown option even when its value is undefined', () => {
    expect(complaint({ acept: undefined })).toContain("did you mean 'accept'?")
  })

  it('takes no __proto__ of a parsed JSON for an option', () => {
    expect(complaint(JSON.parse('{"__proto__": {"maxSizeBytes": 1}}'))).toContain('no option')
  })

  it.each([
    [null, 'null'],
    ['text', "'text'"],
    [[], 'a list'],
    [7, '7'],
    [undefined, 'undefined'],
  ])('refuses %j in place of options', (given, described) => {
    expect(complaint(given)).toBe(`invalid-option: upload: options are an object, not ${described}`)
  })

  it('says which value an option takes and which it got', () => {
    expect(complaint({ maxSizeBytes: '5 MB' })).toBe(
      "invalid-option: upload: option 'maxSizeBytes' takes an integer of at least 0, not '5 MB'",
    )
    expect(complaint({ accept: {} })).toContain('takes a list of non-empty strings, not an object')
    expect(complaint({ keyPrefix: Symbol('s') })).toContain('not Symbol(s)')
  })
})

const anyFunction = () => undefined
const signal = new AbortController().signal

describe.each([
  { check: option.boolean, fine: [true, false], bad: [0, 'true', null], says: 'true or false' },
  { check: option.string, fine: ['a'], bad: ['', 1, null], says: 'a non-empty string' },
  { check: option.text, fine: ['', 'a'], bad: [1, null], says: 'a string' },
  { check: option.object, fine: [{}, []], bad: [null, 'a', anyFunction], says: 'an object' },
  { check: option.function, fine: [anyFunction], bad: [{}, null, 'a'], says: 'a function' },
  {
    check: option.objectOrFunction,
    fine: [{}, anyFunction],
    bad: [null, 'a', 1],
    says: 'an object or a function',
  },
  {
    check: option.strings,
    fine: [['a'], ['a', 'b']],
    bad: [[], 'a', [''], ['a', 1]],
    says: 'a list of non-empty strings',
  },
  { check: option.abortSignal, fine: [signal], bad: [{}, null], says: 'an AbortSignal' },
  {
    check: option.integer(1, 10),
    fine: [1, 10],
    bad: [0, 11, 1.5, '5', Number.NaN, null],
    says: 'an integer from 1 to 10',
  },
  {
    check: option.integer(1),
    fine: [1, Number.MAX_SAFE_INTEGER],
    bad: [0, Number.MAX_SAFE_INTEGER + 1, Number.POSITIVE_INFINITY, 1n],
    says: 'an integer of at least 1',
  },
  { check: option.oneOf('a', 'b'), fine: ['a', 'b'], bad: ['c', '', anyFunction], says: "'a' or 'b'" },
  {
    check: option.oneOfOrFunction('a', 'b'),
    fine: ['a', 'b', anyFunction],
    bad: ['c', {}],
    says: "'a' or 'b' or a function",
  },
])('an option that takes $says', ({ check, fine, bad, says }) => {
  it('takes what it says, its bounds included, and nothing else', () => {
    expect(fine.map((value) => check(value))).toEqual(fine.map(() => undefined))
    expect(bad.map((value: unknown) => check(value))).toEqual(bad.map(() => says))
  })
})
