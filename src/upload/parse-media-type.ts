interface MediaType {
  /** Type and subtype in lower case. */
  essence: string
  parameters: ReadonlyMap<string, string>
}

/** Nobody sends a longer one; of each part of a form one is read. */
const mostCharacters = 1024
/** The values of a header that is a list: a comma in a quoted string does not end one. */
const listedValue = /(?:"(?:\\.|[^"\\])*"?|[^",])+/gs
const token = /^[!#$%&'*+.^_`|~\w-]+$/
const typeAndSubtype = /^[\t\r\n ]*([^/]+)\/([^;]+)/
const parameter = /;[\t\r\n ]*([^;=]*)(?:=(?:"((?:\\.|[^"\\]|\\$)*)"?[^;]*|([^;]*)))?/gsy
const fitValue = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/**
 * Reads a Content-Type header as the Fetch standard extracts a MIME type: of several values the last that is one counts.
 * `MIMEType` of `node:util` reads parameters in what follows a quoted string, and would find another boundary.
 *
 * @returns undefined when no value is a type, and for more than 1,024 characters.
 */
export function parseMediaType(header = ''): MediaType | undefined {
  if (header.length > mostCharacters) return undefined
  const types = (header.match(listedValue) ?? []).map((value) => parseOne(ended(value)))
  return types.findLast((type) => type !== undefined && type.essence !== '*/*')
}

/** The MIME Sniffing standard's "parse a MIME type". */
function parseOne(text: string): MediaType | undefined {
  const [start = '', type = '', rest = ''] = typeAndSubtype.exec(text) ?? []
  const subtype = ended(rest)
  if (!token.test(type) || !token.test(subtype)) return undefined
  const parameters = new Map<string, string>()
  for (const [, given = '', quoted, unquoted = ''] of text.slice(start.length).matchAll(parameter)) {
    const name = given.toLowerCase()
    const value = quoted === undefined ? ended(unquoted) || undefined : quoted.replace(/\\(.)/gs, '$1')
    if (value !== undefined && token.test(name) && fitValue.test(value) && !parameters.has(name)) {
      parameters.set(name, value)
    }
  }
  return { essence: `${type}/${subtype}`.toLowerCase(), parameters }
}

/** Without the HTTP whitespace at its end. */
function ended(text: string): string {
  return text.replace(/(?<![\t\r\n ])[\t\r\n ]+$/, '')
}
