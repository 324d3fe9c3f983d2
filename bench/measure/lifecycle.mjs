import { randomUUID } from 'node:crypto'
import { EntitySchema } from 'typeorm'
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
import { openDatabase } from '../support/database.mjs'

const sides = { 'without the lifecycle': openPlain, 'with the lifecycle': openLifecycle }

const works = {
  'save-untouched': (document) => {
    document.title = randomUUID()
  },
  'save-changed': (document, file) => {
    document.file = file
  },
}

/** What the lifecycle costs a `save()`: its time against the same entity without `S3FileSubscriber`. */
export async function measureLifecycle(bench) {
  const saves = bench.sized({ full: 200, quick: 100, smoke: 5 })
  configureStorages({ default: new MemoryStorage() })
  const opened = []
  for (const [label, open] of Object.entries(sides)) opened.push({ label, ...(await open()) })
  const results = []
  for (const [id, change] of Object.entries(works)) {
    const time = bench.figure(id)
    const statements = bench.figure(`${id}-statements`)
    for (const side of opened) await save(side, change, saves) // Warms up.
    for (let run = 0; run < 2; run++) {
      await bench.alternate(opened, async (side) => {
        const saved = await save(side, change, saves)
        time.add(side.label, saved.microseconds)
        statements.add(side.label, saved.statements)
      })
    }
    results.push(time, statements)
  }
  for (const { dataSource, schema } of opened) {
    await dataSource.query(`DROP TABLE ${schema.options.tableName}`)
    await dataSource.destroy()
  }
  return results
}

/** Microseconds of a save(), and how many statements it takes. What goes after COMMIT is not part of it. */
async function save({ documents, queries, newFile }, change, saves) {
  const document = await documents.save({ title: 'a', file: await newFile() })
  const files = await Promise.all(Array.from({ length: saves }, newFile))
  let milliseconds = 0
  let statements = 0
  for (const file of files) {
    change(document, file)
    queries.length = 0
    const start = performance.now()
    await documents.save(document)
    milliseconds += performance.now() - start
    statements = queries.length
    await filesSettled()
  }
  return { microseconds: (milliseconds * 1000) / saves, statements }
}

async function openPlain() {
  const opened = await openTable('bench_plain', {})
  return { ...opened, newFile: async () => new S3File({ key: randomUUID(), name: 'a.txt', size: 1 }) }
}

async function openLifecycle() {
  const opened = await openTable('bench_lifecycle', {
    entities: [FileJournalEntry],
    subscribers: [S3FileSubscriber],
  })
  const into = [opened.schema, 'file']
  return { ...opened, newFile: () => uploadFromStream(Buffer.from('a'), { name: 'a.txt', into }) }
}

/** A table and a connection of its own. */
async function openTable(tableName, { entities = [], subscribers = [] }) {
  const schema = new EntitySchema({
    name: tableName,
    tableName,
    columns: {
      id: { type: 'int', primary: true, generated: true },
      title: { type: 'varchar', length: 100 },
      file: s3FileColumn({ nullable: true }),
    },
  })
  const queries = []
  const silent = () => undefined
  const dataSource = await openDatabase({
    entities: [schema, ...entities],
    subscribers,
    logging: ['query'],
    logger: {
      logQuery: (query) => queries.push(query),
      logQueryError: silent,
      logQuerySlow: silent,
      logSchemaBuild: silent,
      logMigration: silent,
      log: silent,
    },
  })
  return { dataSource, schema, queries, documents: dataSource.getRepository(schema) }
}
