import { kindsOf, sizeOf } from './format.js'

/** Asks the server; what goes wrong becomes an Error whose message is meant for the person at the page. */
export async function request(url, options) {
  let response
  try {
    response = await fetch(url, options)
  } catch {
    throw new Error(noAnswer())
  }
  if (response.ok) return response.status === 204 ? undefined : response.json()
  throw new Error(explain(await response.json().catch(() => null)))
}

/** What the server's answer to a failure means, in a sentence. */
export function explain(answer) {
  const { code = '', message, maxSizeBytes, accept } = answer ?? {}
  switch (code) {
    case 'file-too-large':
      return `It is too large. At most ${sizeOf(maxSizeBytes)} are allowed here.`
    case 'type-not-accepted':
      return `This kind of file is not accepted here, only ${kindsOf(accept)}.`
    case 'not-found':
      return 'It is not there any more. Somebody else has deleted it.'
    case 'truncated-body':
    case 'malformed-body':
      return 'It did not arrive whole.'
    default:
      if (/^(storage|checksum)-/.test(code))
        return 'The file store does not answer as it should. Try again a little later.'
      return message ?? 'The server could not do it. Try again a little later.'
  }
}

/** Why there is no answer at all. */
export function noAnswer() {
  return navigator.onLine
    ? 'The server does not answer, or the connection to it broke off.'
    : 'You are offline. Try again when the network is back.'
}
