import { DataSource, type Logger } from 'typeorm'
import { inject } from 'vitest'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { entities } from './entities.ts'
import { dataSourceOptions } from './servers.ts'

/** SQLite needs no server: it is tested beside the embedded one. */
export function databasesOfRun(): [string][] {
  const isEmbedded = inject('servers').s3.kind === 'embedded'
  return isEmbedded ? [['the database of this run'], ['SQLite']] : [['the database of this run']]
}

/** A DataSource on this run's database, with fresh tables, that remembers the statements that write. */
export class TestDatabase {
  readonly dataSource: DataSource
  /** INSERT, UPDATE and DELETE since the last call of `takeWrites()`. */
  readonly #writes: string[]

  private constructor(dataSource: DataSource, writes: string[]) {
    this.dataSource = dataSource
    this.#writes = writes
  }

  static async start(url = inject('servers').databaseUrl): Promise<TestDatabase> {
    const writes: string[] = []
    const logger = {
      ...silentLogger,
      logQuery: (query: string) => {
        if (/^(INSERT|UPDATE|DELETE)/.test(query)) writes.push(query)
      },
    }
    const dataSource = new DataSource({
      ...dataSourceOptions(url),
      entities,
      subscribers: [S3FileSubscriber],
      synchronize: true,
      dropSchema: true,
      logging: true,
      logger,
    } as ConstructorParameters<typeof DataSource>[0])
    await dataSource.initialize()
    return new TestDatabase(dataSource, writes)
  }

  takeWrites(): string[] {
    return this.#writes.splice(0)
  }

  async stop(): Promise<void> {
    await this.dataSource.destroy()
  }
}

export const silentLogger: Logger = {
  log() {},
  logMigration() {},
  logQuery() {},
  logQueryError() {},
  logQuerySlow() {},
  logSchemaBuild() {},
}
