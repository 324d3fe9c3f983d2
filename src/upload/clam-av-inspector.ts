import { connect, type Socket } from 'node:net'
import { formatBytes, MiB } from '../core/bytes.js'
import { ConfigurationError, UploadError } from '../core/errors.js'
import type { FileInspector, InspectedFile, Inspection } from '../core/file-inspector.js'
import { checkOptions, type OptionCheck, option } from '../core/options.js'

/** Where clamd listens, and how much of its time a file may take. */
export interface ClamAvOptions {
  /** Name or address of clamd's host. @default '127.0.0.1' */
  host?: string
  /** clamd's `TCPSocket`, 1 to 65,535. @default 3310 */
  port?: number
  /** A Unix socket instead of `host` and `port`, clamd's `LocalSocket`. */
  socketPath?: string
  /**
   * The longest that clamd may take for one step in seconds: to be connected to, to take bytes, to scan the whole file
   * once it has come. 1 to 3600. @default 120, as clamd's own `MaxScanTime`
   */
  timeoutSeconds?: number
  /**
   * The largest file that is scanned in bytes, inclusive, 1 to 4,294,967,295; a larger one is refused with 413. Not more
   * than clamd's own `StreamMaxLength`: clamd fails larger files, and then so does the upload.
   * @default 104_857_600 (100 MiB)
   */
  maxStreamBytes?: number
}

const checks: Record<keyof ClamAvOptions, OptionCheck> = {
  host: option.string,
  port: option.integer(1, 65_535),
  socketPath: option.string,
  timeoutSeconds: option.integer(1, 3600),
  maxStreamBytes: option.integer(1, 0xffff_ffff),
}

export const clamAvDefaults = {
  host: '127.0.0.1',
  port: 3310,
  timeoutSeconds: 120,
  maxStreamBytes: 100 * MiB,
}

interface ResolvedOptions {
  address: { path: string } | { host: string; port: number }
  timeoutMs: number
  maxStreamBytes: number
}

/**
 * Scans each file for malware by a clamd while it is uploaded. A file that clamd finds something in is refused with
 * `rejected-by-inspector` (422). When clamd cannot be reached, is too slow or fails, the upload ends with
 * `inspector-failed` (503): nothing is stored that was not scanned.
 *
 * @throws ConfigurationError `unknown-option`, `invalid-option`.
 */
export function clamAvInspector(options: ClamAvOptions = {}): FileInspector {
  checkOptions('clamAvInspector', options, checks)
  const { host, port, socketPath } = options
  if (socketPath !== undefined && (host !== undefined || port !== undefined)) {
    throw new ConfigurationError(
      'invalid-option',
      "clamAvInspector: give 'socketPath' or 'host' and 'port', not both",
    )
  }
  const resolved: ResolvedOptions = {
    address:
      socketPath === undefined
        ? { host: host ?? clamAvDefaults.host, port: port ?? clamAvDefaults.port }
        : { path: socketPath },
    timeoutMs: (options.timeoutSeconds ?? clamAvDefaults.timeoutSeconds) * 1000,
    maxStreamBytes: options.maxStreamBytes ?? clamAvDefaults.maxStreamBytes,
  }
  return (file) => ClamAvScan.start(resolved, file)
}

/** One `INSTREAM` session: clamd(8), "Commands". */
class ClamAvScan implements Inspection {
  readonly #options: ResolvedOptions
  readonly #file: InspectedFile
  readonly #socket: Socket
  #sentBytes = 0
  /** What clamd has said so far; complete with its zero byte. */
  #answer = ''
  #failure: Error | undefined
  #onChange: () => void = () => undefined

  static async start(options: ResolvedOptions, file: InspectedFile): Promise<ClamAvScan> {
    const scan = new ClamAvScan(options, file)
    await scan.#until(() => !scan.#socket.connecting)
    scan.#socket.write('zINSTREAM\0')
    return scan
  }

  private constructor(options: ResolvedOptions, file: InspectedFile) {
    this.#options = options
    this.#file = file
    this.#socket = connect({ ...options.address, noDelay: true, signal: file.signal })
      .on('data', (bytes) => {
        this.#answer += bytes.toString('latin1')
        this.#onChange()
      })
      .on('error', (error) => this.#fail(error))
      .on('close', () => this.#fail(new Error('clamd has closed the connection')))
      .on('connect', () => this.#onChange())
      .on('drain', () => this.#onChange())
  }

  async write(chunk: Buffer): Promise<void> {
    if (chunk.length === 0) return // A length of zero is the end.
    this.#sentBytes += chunk.length
    const { maxStreamBytes } = this.#options
    if (this.#sentBytes > maxStreamBytes) {
      const { name, field } = this.#file
      throw new UploadError(
        'file-too-large',
        `file '${name}' is larger than the ${formatBytes(maxStreamBytes)} that can be scanned for malware`,
        { context: { field, name, maxStreamBytes } },
      )
    }
    const socket = this.#socket
    socket.cork()
    socket.write(lengthOf(chunk))
    socket.write(chunk)
    socket.uncork()
    if (socket.writableNeedDrain) await this.#until(() => !socket.writableNeedDrain)
    if (this.#answer !== '') {
      await this.#verdict()
      throw this.#error(new Error('clamd has answered before the end'))
    }
  }

  async end(): Promise<void> {
    this.#socket.write(lengthOf(Buffer.alloc(0)))
    await this.#verdict()
  }

  /** Throws unless the file is clean. */
  async #verdict(): Promise<void> {
    await this.#until(() => this.#answer.endsWith('\0'))
    this.abort()
    const answer = this.#answer.slice(0, -1)
    if (answer === 'stream: OK') return
    const signature = /^stream: (.+) FOUND$/.exec(answer)?.[1]
    if (signature !== undefined) throw this.#file.refusal(`it is infected with ${signature}`, { signature })
    throw this.#error(new Error(`clamd answered '${answer.slice(0, 200)}'`))
  }

  abort(): void {
    this.#socket.destroy()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#onChange()
  }

  /** Waits for clamd; what it has said counts, also when the connection is gone by now. */
  async #until(isDone: () => boolean): Promise<void> {
    const { timeoutMs } = this.#options
    const late = () => this.#fail(new Error(`clamd has not gone on for ${timeoutMs / 1000} s`))
    const timer = setTimeout(late, timeoutMs)
    try {
      while (!isDone() && !this.#answer.endsWith('\0')) {
        if (this.#failure !== undefined) throw this.#error(this.#failure)
        await new Promise<void>((resolve) => {
          this.#onChange = resolve
        })
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #error(cause: Error): UploadError {
    this.abort()
    const { name, field } = this.#file
    // Often it goes before its answer can be read.
    const hint =
      this.#socket.errored === cause && this.#sentBytes > 0 ? "; is clamd's StreamMaxLength smaller?" : ''
    return new UploadError(
      'inspector-failed',
      `file '${name}' could not be scanned for malware: ${cause.message}${hint}`,
      { cause, context: { field, name, sentBytes: this.#sentBytes } },
    )
  }
}

/** Four bytes, the highest first. */
function lengthOf({ length }: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(length)
  return bytes
}
