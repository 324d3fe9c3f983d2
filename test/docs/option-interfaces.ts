import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './markdown.ts'
import { publicNames } from './public-names.ts'

export interface DocumentedOption {
  /** `urls.sign` for one of a group of options. */
  name: string
  /** As in the source; `group` for a group of options. */
  type: string
  /** Without its stars, in one line; `''` for none. */
  docstring: string
}

/** The options of an exported interface and of the one that it extends, as its source says. */
export function optionsOf(name: string): DocumentedOption[] {
  const owner = publicNames.find((exported) => exported.name === name)
  if (owner === undefined) throw new Error(`${name} is not exported`)
  const text = readFileSync(join(repository, owner.file), 'utf8')
  const head = `^export interface ${name}(?:<[^{]*?>)?(?:\\s+extends (?:Omit<)?(\\w+)[^{]*)? \\{\n`
  const [, parent, body = ''] = new RegExp(`${head}(.*?)^\\}`, 'ms').exec(text) ?? []
  const members = membersOf(body, '')
  const declaredNames = body.match(/^ {2,4}\w+\??:/gm) ?? []
  if (members.length !== declaredNames.length) throw new Error(`members of ${name} are written in a new way`)
  const inherited = parent === undefined ? [] : optionsOf(parent)
  return [...inherited.filter((option) => !members.some((own) => own.name === option.name)), ...members]
}

function membersOf(body: string, prefix: string): DocumentedOption[] {
  const member = /^( *)(?:\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n\s*)?(\w+)\??: (?:\{\n(.*?)^\1\}|([^{\n]+))$/gms
  return [...body.matchAll(member)].flatMap(([, , comment = '', name = '', group, type]) => {
    const docstring = comment
      .replace(/\n\s*\*/g, ' ')
      .replace(/\s+/g, ' ')
      .trim()
    return [
      { name: prefix + name, type: type ?? 'group', docstring },
      ...(group === undefined ? [] : membersOf(group, `${prefix}${name}.`)),
    ]
  })
}
