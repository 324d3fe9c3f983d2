import { extensionsByType, otherNames, plainTextTypes, scriptTypes } from './known-types.js'

/** What is stored for bytes that are no type known here. */
export const unknownType = 'application/octet-stream'

/** Code of one kind or another: an extension that nobody knows does not make it harmless. */
const activeTypes: readonly string[] = [
  'text/html',
  'application/xhtml+xml',
  'image/svg+xml',
  'text/x-shellscript',
  ...scriptTypes,
  'application/vnd.microsoft.portable-executable',
  'application/x-elf',
  'application/x-mach-binary',
  'application/java-vm',
  'application/wasm',
  'application/x-ms-shortcut',
]

const typesByExtension = new Map<string, string[]>()
for (const [type, extensions] of Object.entries(extensionsByType)) {
  for (const extension of extensions.split(' ')) {
    typesByExtension.set(extension, [...(typesByExtension.get(extension) ?? []), type])
  }
}

const typeByOtherName = new Map(
  Object.entries(otherNames).flatMap(([type, names]) => names.split(' ').map((name) => [name, type])),
)

/** The one name used here for a type, in lower case. */
export function canonicalType(type: string): string {
  const name = type.toLowerCase()
  return typeByOtherName.get(name) ?? name
}

/** The type that an extension, in lower case and without its dot, says. */
export function typeOfExtension(extension: string): string | undefined {
  return typesByExtension.get(extension)?.[0]
}

/** Whether a type is one that content is recognised as. */
export function isKnownType(type: string): boolean {
  return Object.hasOwn(extensionsByType, type)
}

/** Whether content of that type is code: a page, a script or a program. */
export function isActive(type: string): boolean {
  return activeTypes.includes(type)
}

/**
 * Whether a file with that extension can honestly have content of that type. An image may be of another kind of image,
 * a recording of another kind of recording, text of another kind of plain text; an unknown extension says nothing.
 */
export function agrees(extension: string, type: string): boolean {
  const expected = typesByExtension.get(extension)
  if (expected === undefined) return true
  const family = familyOf(type)
  return expected.some(
    (each) =>
      each === type ||
      (family !== undefined && familyOf(each) === family) ||
      (type === 'text/plain' && isTextType(each)),
  )
}

function familyOf(type: string): 'image' | 'recording' | 'text' | undefined {
  if (plainTextTypes.includes(type)) return 'text'
  if (type.endsWith('+xml')) return undefined
  if (type.startsWith('image/')) return 'image'
  return /^(?:audio|video)\//.test(type) ? 'recording' : undefined
}

/** Whether content of that type, in lower case, is text. */
export function isTextType(type: string): boolean {
  const name = canonicalType(type)
  return (
    name.startsWith('text/') ||
    plainTextTypes.includes(name) ||
    scriptTypes.includes(name) ||
    /[+/](?:xml|json|x-www-form-urlencoded)$/.test(name)
  )
}
