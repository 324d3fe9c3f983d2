// Kills processes that work on files at random instants, and looks each time whether anything was lost or left behind: on
// each database, first without triggers and then with them.
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { nodeWithSqlite } from '../support/sqlite-node.mjs'
import { Campaign, Violation } from './campaign.mjs'
import { databases } from './databases.mjs'
import { findServers } from './world.mjs'

const usage =
  'usage: npm run test:crash -- [--kills 100] [--seed NUMBER] [--faults | --no-faults] [--triggers | --no-triggers] ' +
  `[--database ${Object.keys(databases).join(' | ')}]...`

const settings = readArguments()
runWhereSqliteIs()
const { urls, stop } = findServers(settings.names)
process.once('exit', stop)
const campaigns = settings.names.flatMap((name) =>
  settings.withTriggers.map((hasTriggers) => ({ name, hasTriggers })),
)
try {
  for (const { name, hasTriggers } of campaigns) {
    const kills = Math.ceil(settings.kills / settings.withTriggers.length)
    await new Campaign({ ...settings, database: databases[name](urls[name]), hasTriggers, kills }).run()
  }
} catch (error) {
  console.error(error instanceof Violation ? error.message : error)
  process.exitCode = 1
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '100' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      faults: { type: 'boolean' },
      triggers: { type: 'boolean' },
      database: { type: 'string', multiple: true, default: Object.keys(databases) },
    },
    allowNegative: true,
  })
  const [kills, seed, names] = [Number(values.kills), Number(values.seed), values.database]
  if (
    !(
      Number.isInteger(kills) &&
      kills > 0 &&
      Number.isInteger(seed) &&
      names.every((name) => name in databases)
    )
  ) {
    throw new Error(usage)
  }
  return {
    kills,
    seed,
    names,
    withTriggers: values.triggers === undefined ? [false, true] : [values.triggers],
    // Without being told, every other process has them.
    hasFaults: (kill) => values.faults ?? kill % 2 === 0,
  }
}

/** Under the Node that better-sqlite3 was built for, which may be another one than this. */
function runWhereSqliteIs() {
  if (!settings.names.includes('sqlite')) return
  const node = nodeWithSqlite()
  if (node === process.execPath) return
  process.exit(spawnSync(node, process.argv.slice(1), { stdio: 'inherit' }).status ?? 1)
}
