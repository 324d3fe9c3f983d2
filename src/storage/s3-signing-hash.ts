import { createHash, createHmac, createSecretKey, type Hash, type Hmac, type KeyObject } from 'node:crypto'

type Secret = string | Uint8Array

/** Of strings only the last one: that of the credentials in use. */
let lastText: { secret: string; key: KeyObject } | undefined
const keysOfBytes = new WeakMap<Uint8Array, KeyObject>()

/**
 * SHA-256, with a secret HMAC-SHA-256, as the SDK's signer makes them. A secret becomes a key once, not with each
 * signature, which takes longer than the signature itself.
 */
export class SigningHash {
  readonly #hash: Hash | Hmac

  constructor(secret?: Secret) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', keyOf(secret))
  }

  update(data: string | Uint8Array): void {
    this.#hash.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
}

function keyOf(secret: Secret): KeyObject {
  if (typeof secret === 'string') {
    if (lastText?.secret !== secret) lastText = { secret, key: createSecretKey(secret, 'utf8') }
    return lastText.key
  }
  const key = keysOfBytes.get(secret) ?? createSecretKey(secret)
  keysOfBytes.set(secret, key)
  return key
}
