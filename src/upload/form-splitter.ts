import { UploadError } from '../core/errors.js'
import { type ResolvedFormLimits, tooLarge, tooManyPartHeaders } from './form-limits.js'

interface FormPieces {
  /** All header lines of a part, without the last line end. */
  onHeader: (bytes: Buffer) => void
  /** Some of the content of the part whose header came last, as it came, without a copy. */
  onContent: (bytes: Buffer) => void
  onPartEnd: () => void
}

const lineEnd = Buffer.from('\r\n')
const headerEnd = Buffer.from('\r\n\r\n')
const none = Buffer.alloc(0)

/** Splits a multipart body (RFC 2046, 5.1.1) at its boundaries, and measures all that is no content. */
export class FormSplitter {
  readonly #boundary: Buffer
  readonly #limits: ResolvedFormLimits
  readonly #pieces: FormPieces
  #place: 'preamble' | 'boundary' | 'header' | 'content' | 'epilogue' = 'preamble'
  /** What came last and may be the start of something. The first boundary needs no line end, so here is one. */
  #rest: Buffer = lineEnd
  /** Bytes that come next and are not of the place: a boundary may share the line end before it. */
  #foreign = lineEnd.length
  /** In preamble and epilogue. */
  #idleBytes = 0
  #isStopped = false

  constructor(boundary: string, limits: ResolvedFormLimits, pieces: FormPieces) {
    this.#boundary = Buffer.from(`\r\n--${boundary}`)
    this.#limits = limits
    this.#pieces = pieces
  }

  /** @throws UploadError `request-too-large`, `part-header-too-large`, `malformed-body`; what takes the pieces throws. */
  write(chunk: Buffer): void {
    let bytes: Buffer | undefined = this.#rest.length === 0 ? chunk : this.#afterRest(chunk)
    while (bytes !== undefined && !this.#isStopped) bytes = this.#step(bytes)
  }

  /** @throws UploadError `truncated-body` unless the last boundary has come. */
  end(): void {
    if (this.#place === 'epilogue') return
    throw new UploadError('truncated-body', 'the form breaks off before its end')
  }

  /** Gives no piece any more. */
  stop(): void {
    this.#isStopped = true
  }

  /** Takes what belongs to its place; gives what is left for the next one. */
  #step(bytes: Buffer): Buffer | undefined {
    switch (this.#place) {
      case 'preamble':
      case 'content':
        return this.#toBoundary(bytes)
      case 'boundary':
        return this.#behindBoundary(bytes)
      case 'header':
        return this.#header(bytes)
      case 'epilogue':
        this.#take(bytes)
        return undefined
    }
  }

  /** What is kept, and the chunk: in one, unless that would copy a large chunk for the sake of a few bytes. */
  #afterRest(chunk: Buffer): Buffer {
    const rest = this.#rest
    this.#rest = none
    const isToBoundary = this.#place === 'preamble' || this.#place === 'content'
    if (!isToBoundary || chunk.length < this.#boundary.length) return Buffer.concat([rest, chunk])
    // Too short for a boundary that does not begin in what was kept.
    const seam = Buffer.concat([rest, chunk.subarray(0, this.#boundary.length - 1)])
    const at = seam.indexOf(this.#boundary)
    this.#take(at < 0 ? rest : seam.subarray(0, at))
    if (at < 0) return chunk
    this.#endPart()
    return chunk.subarray(at + this.#boundary.length - rest.length)
  }

  #toBoundary(bytes: Buffer): Buffer | undefined {
    const at = bytes.indexOf(this.#boundary)
    if (at < 0) {
      const end = bytes.length - this.#startOfBoundary(bytes)
      this.#keep(bytes.subarray(end)) // Before the rest is taken: then nothing of a chunk may be left to look at.
      this.#take(bytes.subarray(0, end))
      return undefined
    }
    this.#take(bytes.subarray(0, at))
    this.#endPart()
    return bytes.subarray(at + this.#boundary.length)
  }

  #endPart(): void {
    if (this.#place === 'content') this.#pieces.onPartEnd()
    this.#place = 'boundary'
  }

  /** How many of the last bytes may be the start of a boundary. */
  #startOfBoundary(bytes: Buffer): number {
    const first = Math.max(0, bytes.length - this.#boundary.length + 1)
    for (let start = bytes.indexOf(13, first); start >= 0; start = bytes.indexOf(13, start + 1)) {
      const length = bytes.length - start
      if (this.#boundary.compare(bytes, start, bytes.length, 0, length) === 0) return length
    }
    return 0
  }

  #behindBoundary(bytes: Buffer): Buffer | undefined {
    const start = paddingOf(bytes)
    if (start > this.#limits.partHeaderSizeBytes) {
      throw tooLarge('partHeaderSizeBytes', this.#limits, 'the blank space behind a boundary')
    }
    if (bytes.length < start + 2) return this.#keep(bytes)
    const next = bytes.toString('latin1', start, start + 2)
    if (next !== '\r\n' && (next !== '--' || start > 0)) {
      throw new UploadError('malformed-body', 'a boundary of the form is not followed by a line end')
    }
    this.#place = next === '--' ? 'epilogue' : 'header'
    this.#foreign = lineEnd.length
    this.#idleBytes = 0
    return bytes.subarray(start + 2)
  }

  #header(bytes: Buffer): Buffer | undefined {
    const at = bytes.indexOf(headerEnd)
    if ((at < 0 ? bytes.length : at + headerEnd.length) > this.#limits.partHeaderSizeBytes) {
      throw tooLarge('partHeaderSizeBytes', this.#limits, 'the header of a part')
    }
    if (at < 0) return this.#keep(bytes)
    const header = bytes.subarray(0, at)
    if (header.toString('latin1').split('\r\n').length > this.#limits.partHeaders) {
      throw tooManyPartHeaders(this.#limits)
    }
    this.#place = 'content'
    this.#foreign = lineEnd.length
    this.#pieces.onHeader(header)
    return bytes.subarray(at + lineEnd.length)
  }

  #take(bytes: Buffer): void {
    const foreign = Math.min(this.#foreign, bytes.length)
    this.#foreign -= foreign
    if (foreign === bytes.length) return
    if (this.#place === 'content') {
      this.#pieces.onContent(foreign === 0 ? bytes : bytes.subarray(foreign))
      return
    }
    this.#idleBytes += bytes.length - foreign
    const [limit, what] =
      this.#place === 'preamble'
        ? (['preambleSizeBytes', 'what comes before the first part of the form'] as const)
        : (['epilogueSizeBytes', 'what follows the end of the form'] as const)
    if (this.#idleBytes > this.#limits[limit]) throw tooLarge(limit, this.#limits, what)
  }

  /** Keeps a copy that does not hold the chunk it is from. */
  #keep(bytes: Buffer): undefined {
    this.#rest = bytes.length === 0 ? none : Buffer.from(bytes)
  }
}

/** How many of the first bytes are blanks or tabs: RFC 2046, 5.1.1, lets gateways put them behind a boundary. */
function paddingOf(bytes: Buffer): number {
  const end = bytes.findIndex((byte) => byte !== 32 && byte !== 9)
  return end < 0 ? bytes.length : end
}
