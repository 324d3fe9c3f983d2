import type { FormTally } from './form-tally.js'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** A field of a form, of which some of the value has come. */
export class IncomingField {
  readonly #name: string
  readonly #tally: FormTally
  readonly #onEnd: (name: string, value: string) => void
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(name: string, tally: FormTally, onEnd: (name: string, value: string) => void) {
    this.#name = name
    this.#tally = tally
    this.#onEnd = onEnd
  }

  /** @throws UploadError `field-too-large`. */
  write(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#tally.addToField(this.#name, this.#bytes, chunk.length)
    this.#chunks.push(chunk)
  }

  /** The whole of it is in UTF-8, as the URL and Fetch standards have it for forms. */
  end(): void {
    this.#onEnd(this.#name, utf8.decode(Buffer.concat(this.#chunks)))
  }
}
