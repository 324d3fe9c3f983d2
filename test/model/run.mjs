// Runs random programs against the model of the lifecycle's promises, as many as are asked for:
//   npm run test:model -- --programs 20000 --seed 7 --database postgres
// `--database` takes sqljs (the default), or postgres or mariadb as test/servers/start has started them; then the objects
// are in the store that it has started, too, unless `--store memory` is given. `--searches 50` goes on with so many other
// seeds after programs that fail, `--without from:kept,kind:Columns` leaves out what is known to fail; `--path` replays one.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    path: { type: 'string' },
    database: { type: 'string', default: 'sqljs' },
    store: { type: 'string', default: 'versitygw' },
    settings: { type: 'string' },
    searches: { type: 'string' },
    without: { type: 'string' },
    kinds: { type: 'string' },
    show: { type: 'boolean' },
  },
})
const given = Object.entries(values).filter(([name]) => !['database', 'store'].includes(name))
const env = { ...process.env, MODEL_DATABASE: values.database }
for (const [name, value] of given) env[`MODEL_${name.toUpperCase()}`] = String(value)
if (values.database !== 'sqljs') {
  const endpoints = JSON.parse(readFileSync('.servers/endpoints.json', 'utf8'))
  env.DATABASE_URL = endpoints[values.database]
  if (values.store !== 'memory') {
    const { endpoint, accessKeyId, secretAccessKey, caFile } = endpoints[values.store]
    Object.assign(env, {
      S3_KIND: values.store,
      S3_ENDPOINT: endpoint,
      S3_BUCKET: 'test-bucket',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(caFile === undefined ? {} : { S3_CA_FILE: caFile }),
    })
  }
}
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--project', 'model'],
  {
    stdio: 'inherit',
    env,
  },
)
process.exitCode = status ?? 1
