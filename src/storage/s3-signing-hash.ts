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
  readonly #secret: Secret | undefined
  #hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#secret = secret === undefined || typeof secret === 'string' ? secret : bytesOf(secret)
    this.#hash = newHash(this.#secret)
  }

  update(data: string | ArrayBuffer | ArrayBufferView, encoding?: 'utf8' | 'ascii' | 'latin1'): void {
    if (typeof data === 'string') this.#hash.update(data, encoding ?? 'utf8')
    else this.#hash.update(bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  reset(): void {
    this.#hash = newHash(this.#secret)
  }
}

function newHash(secret: Secret | undefined): Hash | Hmac {
  return secret === undefined ? createHash('sha256') : createHmac('sha256', keyOf(secret))
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (data instanceof Uint8Array) return data
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
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
