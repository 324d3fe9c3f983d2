// Runs the integration suite against the servers that test/servers/start has started: each S3 server with a database,
// and each database at least once; with arguments only the S3 servers named, and only what needs a store. Runs under the
// Node that it was called with.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const endpoints = JSON.parse(readFileSync('.servers/endpoints.json', 'utf8'))
/** What has a store of its own, or none, says the same beside every server: once is enough. */
const independent = [
  'test/adapters/**',
  'test/integration/{cli,cli-doctor,events,free-chunks,observability,s3chunkuploader-flaws,secrets,upload-limits}.test.ts',
]
/** What is about a database alone: a second store beside the same one tells nothing new. */
const ofDatabase = [
  'test/integration/{check-wiring,concurrent-rows,file-column,file-triggers,lifecycle-*,migrations-example,trigger-*}.test.ts',
]
const runs = [
  { s3: 'versitygw', kind: 'versitygw', database: 'postgres', without: [] },
  { s3: 'versitygwTls', kind: 'versitygw', database: 'mariadb', without: independent },
  { s3: 'ceph', kind: 'ceph', database: 'postgres', without: [...independent, ...ofDatabase] },
]
const named = process.argv.slice(2)
for (const { s3, kind, database, without } of runs.filter(
  (run) => named.length === 0 || named.includes(run.s3),
)) {
  const { endpoint, accessKeyId, secretAccessKey, caFile } = endpoints[s3]
  const excluded = (named.length === 0 ? without : [...independent, ...without]).map(
    (pattern) => `--exclude=${pattern}`,
  )
  console.log(`\n${s3} and ${database}, Node ${process.version}`)
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project', 'integration', ...excluded],
    {
      stdio: 'inherit',
      env: {
        ...process.env,
        S3_KIND: kind,
        S3_ENDPOINT: endpoint,
        S3_BUCKET: 'test-bucket',
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        DATABASE_URL: endpoints[database],
        ...(caFile === undefined ? {} : { S3_CA_FILE: caFile }),
      },
    },
  )
  if (status !== 0) process.exit(status ?? 1)
}
