import type { FormTally } from './form-tally.js'
import type { PartHeader } from './part-header.js'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** A field of a form, of which some of the value has come. */
export class IncomingField {
  readonly #header: PartHeader
  readonly #tally: FormTally
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(header: PartHeader, tally: FormTally) {
    this.#header = header
    this.#tally = tally
  }

  get name(): string {
    return this.#header.name
  }

  /** @throws UploadError `field-too-large`. */
  push(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#tally.addToField(this.name, this.#bytes, chunk.length)
    this.#chunks.push(chunk)
  }

  /** The whole of it, in UTF-8 as the URL and Fetch standards have it for forms. */
  text(): string {
    return utf8.decode(Buffer.concat(this.#chunks))
  }
}
