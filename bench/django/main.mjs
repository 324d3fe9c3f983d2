// The Python original as a contestant: gunicorn with one worker and eight threads.
//   main.mjs NAME S3_URL
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { answer } from '../support/answer.mjs'
import { freePort } from '../support/free-port.mjs'
import { gunicorn } from './install.mjs'

const S3_URL = process.argv[3]
const AWS_CA_BUNDLE = process.env.NODE_EXTRA_CA_CERTS
const ticksPerSecond = 100 // USER_HZ, which is 100 wherever Linux runs.

const port = await freePort()
const server = spawn(
  gunicorn,
  [
    ...'--worker-class gthread --workers 1 --threads 8 --timeout 0 --keep-alive 600 --log-level warning'.split(
      ' ',
    ),
    ...['--bind', `127.0.0.1:${port}`, '--chdir', fileURLToPath(new URL('.', import.meta.url)), 'app'],
  ],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      S3_URL,
      PYTHONWARNINGS: 'ignore',
      ...(AWS_CA_BUNDLE === undefined ? {} : { AWS_CA_BUNDLE }),
    },
  },
)
process.on('SIGTERM', () => process.exit())
process.on('exit', () => server.kill('SIGINT')) // It ends its worker.
server.on('error', fail)
server.on('exit', fail)
await untilListening()

let cpu = 0
let idleBytes = 0
answer(
  {
    reset() {
      for (const pid of pids()) writeFileSync(`/proc/${pid}/clear_refs`, '5')
      idleBytes = total(memory('VmRSS'))
      cpu = total(cpuSeconds)
    },
    usage: () => ({
      cpuSeconds: total(cpuSeconds) - cpu,
      peakBytes: total(memory('VmHWM')) - idleBytes,
    }),
  },
  { port },
)

function fail(reason) {
  console.error(`gunicorn ended: ${reason}`)
  process.exit(1)
}

function pids() {
  const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')
  return [server.pid, ...children.split(' ').filter(Boolean)]
}

function total(amountOf) {
  return pids().reduce((sum, pid) => sum + amountOf(pid), 0)
}

function cpuSeconds(pid) {
  // utime and stime; the name before them, in parentheses, may contain anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

function memory(name) {
  return (pid) =>
    Number(new RegExp(`${name}:\\s*(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024
}

async function untilListening() {
  for (let tries = 0; tries < 300; tries++) {
    const answered = await fetch(`http://127.0.0.1:${port}/none`).catch(() => undefined)
    if (answered !== undefined) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('gunicorn does not answer')
}
