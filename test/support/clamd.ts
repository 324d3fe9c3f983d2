import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const program = '/usr/sbin/clamd'

export const hasClamd = existsSync(program)

/** The file that every scanner of malware is to find, and that is none (eicar.org). Not in one piece here either. */
export const eicar = Buffer.from(
  ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!', '$H+H*'].join(''),
)

/** A clamd of this test, with one signature: that of `eicar`. */
export class Clamd {
  readonly port: number
  readonly #process: ChildProcess
  readonly #folder: string

  private constructor(port: number, process: ChildProcess, folder: string) {
    this.port = port
    this.#process = process
    this.#folder = folder
  }

  static async start({ streamMaxLength }: { streamMaxLength: string }): Promise<Clamd> {
    if (!hasClamd) throw new Error(`${program} is not there: run test/servers/install`)
    const folder = await mkdtemp(join(tmpdir(), 'typeorm-s3-file-clamd-'))
    const port = await freePort()
    const log = join(folder, 'clamd.log')
    // A signature of a body: name, any type of file, any offset, the bytes in hex.
    await writeFile(join(folder, 'test.ndb'), `Eicar-Test-Signature:0:*:${eicar.toString('hex')}\n`)
    await writeFile(
      join(folder, 'clamd.conf'),
      [
        'Foreground yes',
        `DatabaseDirectory ${folder}`,
        `TemporaryDirectory ${folder}`,
        `LogFile ${log}`,
        'TCPAddr 127.0.0.1',
        `TCPSocket ${port}`,
        `StreamMaxLength ${streamMaxLength}`,
        'MaxThreads 4',
        'Bytecode no',
        '',
      ].join('\n'),
    )
    const process = spawn(program, ['--config-file', join(folder, 'clamd.conf')], { stdio: 'ignore' })
    const clamd = new Clamd(port, process, folder)
    while (!(await answers(port))) {
      if (process.exitCode !== null) {
        const said = await readFile(log, 'utf8').catch(() => 'nothing')
        await clamd.stop()
        throw new Error(`clamd did not start: ${said}`)
      }
      await sleep(50)
    }
    return clamd
  }

  /** Keeps it from doing anything, although its port still takes connections. */
  freeze(): void {
    this.#process.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = new Promise((resolve) => this.#process.once('exit', resolve))
      this.#process.kill('SIGKILL')
      await ended
    }
    await rm(this.#folder, { recursive: true, force: true })
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('zPING\0'))
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}
