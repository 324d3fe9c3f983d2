import type { FormTally } from './form-tally.js'
import type { PartHeader } from './part-header.js'

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

  /** The whole of it, in UTF-8 unless the part says another charset that is known. */
  text(): string {
    const bytes = Buffer.concat(this.#chunks)
    try {
      return new TextDecoder(this.#header.charset, { ignoreBOM: true }).decode(bytes)
    } catch {
      return bytes.toString()
    }
  }
}
