import type { FormTally } from './form-tally.js'
import type { PartHeader } from './part-header.js'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** In UTF-8, as the URL and Fetch standards have it for forms, unless the part says a charset that is known. */
function decoderOf(charset: string | undefined): TextDecoder {
  if (charset === undefined) return utf8
  try {
    return new TextDecoder(charset, { ignoreBOM: true })
  } catch {
    return utf8
  }
}

/** A field of a form, of which some of the value has come. */
export class IncomingField {
  readonly #name: string
  readonly #charset: string | undefined
  readonly #tally: FormTally
  readonly #onEnd: (name: string, value: string) => void
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor({ name, charset }: PartHeader, tally: FormTally, onEnd: (name: string, value: string) => void) {
    this.#name = name
    this.#charset = charset
    this.#tally = tally
    this.#onEnd = onEnd
  }

  /** @throws UploadError `field-too-large`. */
  write(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#tally.addToField(this.#name, this.#bytes, chunk.length)
    this.#chunks.push(chunk)
  }

  end(): void {
    this.#onEnd(this.#name, decoderOf(this.#charset).decode(Buffer.concat(this.#chunks)))
  }
}
