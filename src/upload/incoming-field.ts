import { decodeText } from './decode-text.js'
import type { FormTally } from './form-tally.js'
import type { PartHeader } from './part-header.js'

/** In UTF-8, as the URL and Fetch standards have it for forms, unless the part says a charset that is known. */
function textOf(bytes: Buffer, charset: string | undefined): string {
  try {
    return decodeText(bytes, charset)
  } catch {
    return decodeText(bytes)
  }
}

/** A field of a form, of which some of the value has come. Where nobody wants its value, it is only counted. */
export class IncomingField {
  readonly #name: string
  readonly #charset: string | undefined
  readonly #tally: FormTally
  readonly #onEnd: ((name: string, value: string) => void) | undefined
  /** Doubles as it fills up: a list of the chunks would take many times their bytes when they are small. */
  #value = Buffer.alloc(0)
  #bytes = 0

  constructor(
    { name, charset }: PartHeader,
    tally: FormTally,
    onEnd: ((name: string, value: string) => void) | undefined,
  ) {
    this.#name = name
    this.#charset = charset
    this.#tally = tally
    this.#onEnd = onEnd
  }

  /** @throws UploadError `field-too-large`. */
  write(chunk: Buffer): void {
    const end = this.#bytes + chunk.length
    this.#tally.addToField(this.#name, end, chunk.length)
    if (this.#onEnd === undefined) {
      this.#bytes = end
      return
    }
    if (end > this.#value.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * this.#bytes))
      this.#value.copy(larger, 0, 0, this.#bytes)
      this.#value = larger
    }
    chunk.copy(this.#value, this.#bytes)
    this.#bytes = end
  }

  end(): void {
    this.#onEnd?.(this.#name, textOf(this.#value.subarray(0, this.#bytes), this.#charset))
  }
}
