import { ConfigurationError, UploadError } from '../core/errors.js'
import { shortName } from './form-limits.js'
import { type Into, resolveTarget, type TargetOptions, type UploadTarget } from './upload-target.js'

/** For each form field that files come in, the entity and its file property. */
export type IntoByField<Entities> = { readonly [Field in keyof Entities]: Into<Entities[Field]> }

/** Where the files of a form go: all of them to one place, or those of each form field to its own. */
export interface FormTargets {
  readonly all: readonly UploadTarget[]
  /** @throws UploadError `unexpected-field`. */
  of(field: string): UploadTarget
}

/**
 * @param field the only form field that files may come in; undefined for any.
 * @throws ConfigurationError as `resolveTarget`.
 */
export function resolveFormTarget<Entity>(
  owner: string,
  options: TargetOptions<Entity>,
  field: string | undefined,
): FormTargets {
  const target = resolveTarget(owner, options)
  return {
    all: [target],
    of: (given) => {
      if (field !== undefined && given !== field) throw unexpected(given, [field])
      return target
    },
  }
}

/** As `resolveFormTarget`, for a place for each form field. */
export function resolveTargetsByField<Entities>(
  owner: string,
  { into, ...options }: Omit<TargetOptions<unknown>, 'into'> & { into: IntoByField<Entities> },
  field: string | undefined,
): FormTargets {
  if (field !== undefined) {
    throw new ConfigurationError(
      'invalid-option',
      `${owner}: option 'field' has no place beside an 'into' that names the fields`,
    )
  }
  const entries = Object.entries(into) as [string, Into<unknown>][]
  const targets = new Map(
    entries.map(([name, each]) => [name, resolveTarget(`${owner} into.${name}`, { ...options, into: each })]),
  )
  return {
    all: [...targets.values()],
    of: (given) => {
      const target = targets.get(given)
      if (target === undefined) throw unexpected(given, [...targets.keys()])
      return target
    },
  }
}

function unexpected(field: string, expected: string[]): UploadError {
  return new UploadError(
    'unexpected-field',
    `a file came in field '${shortName(field)}'; it is expected in ${expected.map((name) => `'${name}'`).join(' or ')}`,
    { context: { field, expected: expected.length === 1 ? expected[0] : expected } },
  )
}
