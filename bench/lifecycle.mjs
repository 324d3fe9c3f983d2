// What the lifecycle costs a save(): its time against the same entity without S3FileSubscriber, and its statements.
//   node bench/lifecycle.mjs                                 SQLite in memory, where only the CPU counts
//   DATABASE_URL=postgres://… node bench/lifecycle.mjs       PostgreSQL
import { randomUUID } from 'node:crypto'
import { DataSource, EntitySchema } from 'typeorm'
import {
  configureStorages,
  FileJournalEntry,
  filesSettled,
  S3File,
  S3FileSubscriber,
  s3FileColumn,
  uploadFromStream,
} from 'typeorm-s3-file'
import { MemoryStorage } from 'typeorm-s3-file/testing'

const rounds = 11
const savesPerRound = 200

/** A table and a connection of its own, with or without the lifecycle. */
async function open(name, options) {
  const schema = new EntitySchema({
    name,
    tableName: `bench_${name}`,
    columns: {
      id: { type: 'int', primary: true, generated: true },
      title: { type: 'varchar', length: 100 },
      file: s3FileColumn({ nullable: true }),
    },
  })
  const queries = []
  const silent = () => undefined
  const dataSource = new DataSource({
    ...(process.env.DATABASE_URL === undefined
      ? { type: 'sqljs' }
      : { type: 'postgres', url: process.env.DATABASE_URL }),
    ...options,
    entities: [schema, ...options.entities],
    synchronize: true,
    logging: ['query'],
    logger: {
      logQuery: (query) => queries.push(query.replaceAll(/\s+/g, ' ')),
      logQueryError: silent,
      logQuerySlow: silent,
      logSchemaBuild: silent,
      logMigration: silent,
      log: silent,
    },
  })
  await dataSource.initialize()
  return { dataSource, schema, queries, documents: dataSource.getRepository(schema) }
}

configureStorages({ default: new MemoryStorage() })
const plain = await open('plain', { entities: [], subscribers: [] })
const lifecycle = await open('lifecycle', { entities: [FileJournalEntry], subscribers: [S3FileSubscriber] })

const newRecord = async () => new S3File({ key: randomUUID(), name: 'a.txt', size: 1 })
const newUpload = () =>
  uploadFromStream(Buffer.from('a'), { name: 'a.txt', into: [lifecycle.schema, 'file'] })

/** Microseconds of a save(), and the statements of the last one. What goes after COMMIT is not part of it. */
async function measure({ documents, queries }, newFile, change) {
  const document = await documents.save({ title: 'a', file: await newFile() })
  const files = await Promise.all(Array.from({ length: savesPerRound }, newFile))
  let nanoseconds = 0n
  let statements = []
  for (const file of files) {
    change(document, file)
    queries.length = 0
    const start = process.hrtime.bigint()
    await documents.save(document)
    nanoseconds += process.hrtime.bigint() - start
    statements = [...queries]
    await filesSettled()
  }
  return { microseconds: Number(nanoseconds) / 1000 / savesPerRound, statements }
}

const works = {
  'without a change of its file': (document) => {
    document.title = randomUUID()
  },
  'with another file': (document, file) => {
    document.file = file
  },
}
const median = (values) => values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)]

for (const [name, change] of Object.entries(works)) {
  const results = { plain: [], lifecycle: [] }
  for (let round = 0; round <= rounds; round++) {
    results.plain.push(await measure(plain, newRecord, change))
    results.lifecycle.push(await measure(lifecycle, newUpload, change))
  }
  const [without, withLifecycle] = [results.plain, results.lifecycle].map(
    (runs) => median(runs.slice(1).map(({ microseconds }) => microseconds)), // The first one warms up.
  )
  const [base, all] = [results.plain, results.lifecycle].map((runs) => runs.at(-1).statements)
  console.log(
    `save() ${name}: ${without.toFixed(0)} µs, with the lifecycle ${withLifecycle.toFixed(0)} µs ` +
      `(× ${(withLifecycle / without).toFixed(3)}), ${all.length - base.length} statements more`,
  )
  for (const query of all) console.log(`    ${query.slice(0, 120)}`)
}
await plain.dataSource.query('DROP TABLE bench_plain')
await lifecycle.dataSource.query('DROP TABLE bench_lifecycle')
await Promise.all([plain, lifecycle].map(({ dataSource }) => dataSource.destroy()))
