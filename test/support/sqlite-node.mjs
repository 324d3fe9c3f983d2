import { spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * A Node that better-sqlite3 was built for: `npm ci` builds it for the Node that npm runs under, `npm run` finds another one
 * in `node_modules`.
 *
 * @returns the path of its executable.
 */
export function nodeWithSqlite() {
  const nodes = [process.execPath, ...process.env.PATH.split(delimiter).map((folder) => join(folder, 'node'))]
  const found = nodes.find((node) => {
    const load = "new (require('better-sqlite3'))(':memory:')"
    return spawnSync(node, ['-e', load], { cwd: root, stdio: 'ignore' }).status === 0
  })
  if (found === undefined) throw new Error('no Node here can load better-sqlite3: npm rebuild better-sqlite3')
  return found
}
