import { DataSource } from 'typeorm'

/** SQLite in memory, where only the CPU counts; with DATABASE_URL PostgreSQL. */
export async function openDatabase(options) {
  const dataSource = new DataSource({
    ...(process.env.DATABASE_URL === undefined
      ? { type: 'sqljs' }
      : { type: 'postgres', url: process.env.DATABASE_URL }),
    ...options,
    synchronize: true,
  })
  await dataSource.initialize()
  return dataSource
}
