// A process of an application on a SQLite file, for tests that kill it: `node sqlite-process.mjs FILE TASK`.
import { DataSource, EntitySchema } from 'typeorm'
import {
  configureStorages,
  FileJournalEntry,
  S3FileSubscriber,
  s3FileColumn,
  uploadFromStream,
} from '../../dist/esm/index.js'
import { MemoryStorage } from '../../dist/esm/testing.js'

const [database, task] = process.argv.slice(2)
const Paper = new EntitySchema({
  name: 'paper',
  columns: {
    id: { type: 'integer', primary: true, generated: true },
    file: s3FileColumn({ nullable: true }),
  },
})

/** Says so before it has the first byte. */
class ToldStorage extends MemoryStorage {
  put(key, ...rest) {
    process.send({ sends: key })
    return super.put(key, ...rest)
  }
}

configureStorages({ default: new ToldStorage() })
const dataSource = new DataSource({
  type: 'better-sqlite3',
  database,
  enableWAL: true,
  entities: [Paper, FileJournalEntry],
  subscribers: [S3FileSubscriber],
  synchronize: true,
})
await dataSource.initialize()
const runner = dataSource.createQueryRunner()
const upload = () => uploadFromStream(Buffer.from('a'), { into: [Paper, 'file'] })

/** A transaction of another request, on the only connection there is. */
async function beginTransaction() {
  await runner.startTransaction()
  await runner.query('INSERT INTO paper DEFAULT VALUES')
}

const tasks = {
  /** Uploads while a transaction is open that ends soon, and while the next one is. */
  async uploadBesideTransactions() {
    await beginTransaction()
    const uploading = upload()
    await new Promise((resolve) => setTimeout(resolve, 100))
    await runner.commitTransaction()
    await uploading
    setInterval(() => undefined, 1000)
  },
  async uploadWithinTransaction() {
    await beginTransaction()
    await upload().catch(({ code, message }) => process.send({ code, message }))
    await runner.rollbackTransaction()
  },
  async tellEntries() {
    process.send(await dataSource.getRepository(FileJournalEntry).find())
  },
}
await tasks[task]()
process.disconnect()
