import { describe, expect, it, vi } from 'vitest'
import {
  checkRules,
  type FieldOwner,
  type FileField,
  fieldOfTransformer,
  findField,
  registerField,
} from '../../src/core/file-field.ts'
import { anyField } from '../support/any-field.ts'

function field(label: string): FileField {
  return { ...anyField, label }
}

function find(owner: unknown, property: string): FileField {
  return findField(owner as FieldOwner<never>, property)
}

class Base {}
class Child extends Base {}
class Grandchild extends Child {}
class Sibling extends Base {}
const baseFile = field('Base.file')
const childScan = field('Child.scan')
const siblingFile = field('Sibling.file')
registerField(Base, 'file', baseFile)
registerField(Child, 'scan', childScan)
registerField(Sibling, 'file', siblingFile)

describe('findField', () => {
  it('finds the field of a class, and of those it extends', () => {
    expect(find(Base, 'file')).toBe(baseFile)
    expect(find(Grandchild, 'file')).toBe(baseFile)
    expect(find(Grandchild, 'scan')).toBe(childScan)
  })

  it("prefers a class's own field over the one it inherits", () => {
    expect(find(Sibling, 'file')).toBe(siblingFile)
  })

  it('finds the field of an EntitySchema by its column', () => {
    const ofSchema = field('this file column')
    const schema = { options: { columns: { file: { transformer: { [fieldOfTransformer]: ofSchema } } } } }
    expect(find(schema, 'file')).toBe(ofSchema)
  })

  it('finds fields that another copy of the package has registered', async () => {
    vi.resetModules()
    const copy = await import('../../src/core/file-field.ts')
    class Theirs {}
    const theirField = field('Theirs.file')
    copy.registerField(Theirs, 'file', theirField)
    expect(find(Theirs, 'file')).toBe(theirField)
  })

  it.each([
    ["a subclass's field", Base, 'scan', "Base has no file field 'scan'"],
    ['a property of every object', Base, 'constructor', "Base has no file field 'constructor'"],
    ['a class without fields', class Plain {}, 'file', "Plain has no file field 'file'"],
    ['a schema without it', { options: { columns: {} } }, 'file', "the schema has no file field 'file'"],
    [
      'a column that is no file',
      { options: { columns: { a: { transformer: {} } } } },
      'a',
      'the schema has no',
    ],
    ['what is no entity', undefined, 'file', "the schema has no file field 'file'"],
  ])('does not find %s', (_what, owner, property, message) => {
    expect(() => find(owner, property)).toThrow(
      expect.objectContaining({ code: 'unknown-field', message: expect.stringContaining(message) }),
    )
  })
})

describe('checkRules', () => {
  it('lets rules pass that can be kept', () => {
    expect(() =>
      checkRules('owner', { keyPrefix: 'a/b', accept: ['image/*'], minSizeBytes: 5, maxSizeBytes: 5 }),
    ).not.toThrow()
  })

  it.each([
    [{ keyPrefix: '../a' }, "owner: '../a' cannot be a key prefix"],
    [{ accept: ['image'] }, "owner: option 'accept' takes types"],
    [{ minSizeBytes: 6, maxSizeBytes: 5 }, "owner: 'minSizeBytes' is larger than 'maxSizeBytes'"],
  ])('refuses %j', (rules, message) => {
    expect(() => checkRules('owner', rules)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(message) }),
    )
  })
})
