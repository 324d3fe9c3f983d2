import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../.servers/django/', import.meta.url))
// 0.15 is the last one that pip can install: the archive of 0.16 lacks a file. It wants a Django before 3.2.
const packages = ['s3chunkuploader==0.15', 'Django<3.2', 'gunicorn', 'boto3', 'setuptools<80']

export const gunicorn = `${folder}bin/gunicorn`

/** Installs the Python original into a virtual environment. @returns why that is not possible, if it is not. */
export function installDjango(python = process.env.PYTHON ?? 'python3') {
  if (existsSync(gunicorn)) return undefined
  const commands = [
    [python, '-m', 'venv', folder],
    [`${folder}bin/pip`, 'install', '--quiet', ...packages],
  ]
  for (const [command, ...args] of commands) {
    const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' })
    if (status === 0) continue
    rmSync(folder, { recursive: true, force: true })
    return `${[command, ...args].join(' ')}: ${(error?.message ?? stderr).trim()}`
  }
  return undefined
}
