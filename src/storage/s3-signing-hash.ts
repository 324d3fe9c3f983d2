import {
  createHash,
  createHmac,
  createSecretKey,
  type Hash,
  type Hmac,
  hash,
  type KeyObject,
} from 'node:crypto'

type Secret = string | Uint8Array

/** A secret that is text: the credentials' own. With it the SDK signs the same with each request, to find its cached key. */
interface TextSecret {
  text: string
  key: KeyObject
  signed?: { data: Uint8Array; digest: Uint8Array }
}

let lastText: TextSecret | undefined
const keysOfBytes = new WeakMap<Uint8Array, KeyObject>()

/**
 * SHA-256, with a secret HMAC-SHA-256, as the SDK's signer makes them. A secret becomes a key once, not with each
 * signature, which takes longer than the signature itself; and what comes in one piece, as almost all does, is hashed
 * without an object to collect.
 */
export class SigningHash {
  readonly #secret: Secret | undefined
  #only: Uint8Array | undefined
  #hash: Hash | Hmac | undefined

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#secret = secret === undefined || typeof secret === 'string' ? secret : bytesOf(secret)
  }

  update(data: string | ArrayBuffer | ArrayBufferView, encoding: 'utf8' | 'ascii' | 'latin1' = 'utf8'): void {
    const piece = typeof data === 'string' ? Buffer.from(data, encoding) : bytesOf(data)
    if (this.#hash === undefined && this.#only === undefined) this.#only = piece
    else this.#begin().update(piece)
  }

  async digest(): Promise<Uint8Array> {
    if (this.#hash !== undefined) return this.#hash.digest()
    if (this.#secret === undefined) return hash('sha256', this.#only ?? '', 'buffer')
    return typeof this.#secret === 'string'
      ? this.#signByText(textSecret(this.#secret))
      : this.#begin().digest()
  }

  reset(): void {
    this.#only = undefined
    this.#hash = undefined
  }

  #signByText(secret: TextSecret): Uint8Array {
    const data = this.#only ?? new Uint8Array()
    if (secret.signed === undefined || Buffer.compare(secret.signed.data, data) !== 0) {
      secret.signed = { data, digest: this.#begin().digest() }
    }
    return secret.signed.digest
  }

  #begin(): Hash | Hmac {
    if (this.#hash !== undefined) return this.#hash
    this.#hash = this.#secret === undefined ? createHash('sha256') : createHmac('sha256', keyOf(this.#secret))
    if (this.#only !== undefined) this.#hash.update(this.#only)
    return this.#hash
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (data instanceof Uint8Array) return data
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
}

function keyOf(secret: Secret): KeyObject {
  if (typeof secret === 'string') return textSecret(secret).key
  const key = keysOfBytes.get(secret) ?? createSecretKey(secret)
  keysOfBytes.set(secret, key)
  return key
}

function textSecret(text: string): TextSecret {
  if (lastText?.text !== text) lastText = { text, key: createSecretKey(text, 'utf8') }
  return lastText
}
