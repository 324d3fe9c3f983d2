import { explain, noAnswer } from './api.js'

/** Uploads that are sent at once. */
const parallel = 2
/** How long nothing may move before the speed counts as none. */
const stallSeconds = 3

/**
 * Sends files, a few at a time, in the order in which they came. Knows nothing of the page: it tells of each change with
 * a `change` event, and of each end with an `end` event, both with the upload in `detail`.
 *
 * An upload is `{ id, file, url, purpose, state, sent, speed, problem, answer }`, its state one of waiting, sending,
 * storing, stored, failed, cancelled; `endedAt` is when it ended, on the clock of `performance`.
 */
export class UploadQueue extends EventTarget {
  uploads = []
  #nextId = 1

  constructor() {
    super()
    setInterval(() => this.#noteStalls(), 1000)
  }

  /** Whether something would be lost if the page went away. */
  get isBusy() {
    return this.uploads.some(isUnderWay)
  }

  add(file, url, purpose = '') {
    this.uploads.push({ id: this.#nextId++, file, url, purpose, state: 'waiting', sent: 0, speed: 0 })
    this.#tell(this.uploads.at(-1))
    this.#sendNext()
  }

  cancel(upload) {
    const { request } = upload
    this.#end(upload, { state: 'cancelled' })
    request?.abort()
  }

  cancelAll() {
    for (const upload of this.uploads) if (isUnderWay(upload)) this.cancel(upload)
  }

  /** From the beginning. */
  retry(upload) {
    this.#change(upload, { state: 'waiting', sent: 0, speed: 0, problem: undefined })
    this.#sendNext()
  }

  remove(...gone) {
    this.uploads = this.uploads.filter((upload) => !gone.includes(upload))
    this.#tell(gone[0])
  }

  #sendNext() {
    const free = parallel - this.uploads.filter(({ request }) => request !== undefined).length
    const waiting = this.uploads.filter(({ state }) => state === 'waiting')
    for (const upload of waiting.slice(0, Math.max(0, free))) this.#send(upload)
  }

  #send(upload) {
    const form = new FormData()
    form.append('file', upload.file)
    // fetch() does not tell how far an upload is.
    const request = new XMLHttpRequest()
    request.responseType = 'json'
    request.open('POST', upload.url)
    request.upload.addEventListener('progress', ({ loaded, total }) => this.#note(upload, loaded / total))
    request.upload.addEventListener('load', () => this.#change(upload, { state: 'storing', sent: 1 }))
    request.addEventListener('load', () => {
      const { status, response } = request
      if (status >= 200 && status < 300) this.#end(upload, { state: 'stored', sent: 1, answer: response })
      else this.#end(upload, { state: 'failed', problem: explain(response) })
    })
    request.addEventListener('error', () => this.#end(upload, { state: 'failed', problem: noAnswer() }))
    upload.request = request
    upload.mark = { sent: 0, at: performance.now() }
    this.#change(upload, { state: 'sending', sent: 0, speed: 0 })
    request.send(form)
  }

  /** The speed is that of the last seconds rather than of the whole, and changes gently. */
  #note(upload, sent) {
    if (upload.state !== 'sending') return
    const { mark } = upload
    const now = performance.now()
    const seconds = (now - mark.at) / 1000
    if (seconds < 0.25) return this.#change(upload, { sent })
    const latest = ((sent - mark.sent) * upload.file.size) / seconds
    upload.mark = { sent, at: now }
    this.#change(upload, { sent, speed: upload.speed === 0 ? latest : upload.speed * 0.7 + latest * 0.3 })
  }

  #noteStalls() {
    for (const upload of this.uploads) {
      const isStalled = performance.now() - upload.mark?.at > stallSeconds * 1000
      if (upload.state === 'sending' && isStalled && upload.speed > 0) this.#change(upload, { speed: 0 })
    }
  }

  #end(upload, change) {
    upload.request = undefined
    this.#change(upload, { ...change, speed: 0, endedAt: performance.now() })
    this.dispatchEvent(new CustomEvent('end', { detail: upload }))
    this.#sendNext()
  }

  #change(upload, change) {
    Object.assign(upload, change)
    this.#tell(upload)
  }

  #tell(upload) {
    this.dispatchEvent(new CustomEvent('change', { detail: upload }))
  }
}

export function isUnderWay({ state }) {
  return state === 'waiting' || state === 'sending' || state === 'storing'
}
