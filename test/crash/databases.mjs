import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import mysql from 'mysql2/promise'
import pg from 'pg'

/** The tables of the crash test have a schema, or a database, of their own. */
const schema = 'crash_test'

/**
 * The databases of the crash test. Each can
 * - `create()` an empty place for the tables and `drop()` it, as seen by a client of its own: nothing of what is under test;
 * - `query()` there;
 * - give `options(name)` of a DataSource, for a process of that name;
 * - wait in `untilGone(name, sessions)` until it has nothing left to do for a process that is dead, which has got `sessions`
 *   from `openSessions()`.
 */
export const databases = {
  postgres: (url) => new Postgres(url),
  mariadb: (url) => new MariaDb(url),
  sqlite: () => new Sqlite(),
}

class Postgres {
  name = 'postgres'
  /** Transactions of an application that go on at once. */
  concurrency = 8
  /** Processes that work on it at once; an application has a janitor of its own. */
  roles = ['application']
  /** Errors that concurrent transactions on the same rows bring with them: a deadlock, two inserts of one row. */
  expectedErrors = ['40P01', '23505']
  #url
  #client

  constructor(url) {
    this.#url = url
    this.#client = new pg.Client(url)
  }

  /** A connection string: whatever a process needs to find the place again. */
  get place() {
    return this.#url
  }

  async create() {
    await this.#client.connect()
    await this.query(
      `DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}; SET search_path TO ${schema}`,
    )
  }

  async drop() {
    await this.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await this.#client.end()
  }

  async query(sql) {
    return (await this.#client.query(sql)).rows
  }

  quote(name) {
    return `"${name}"`
  }

  options(name) {
    return { type: 'postgres', url: this.#url, schema, installExtensions: false, applicationName: name }
  }

  async openSessions() {
    return []
  }

  async untilGone(name) {
    const sessions = `SELECT FROM pg_stat_activity WHERE application_name = '${name}'`
    while ((await this.query(sessions)).length > 0) await sleep(1)
  }
}

class MariaDb {
  name = 'mariadb'
  concurrency = 8
  roles = ['application']
  /** A deadlock rolls the whole transaction back, and with it the savepoints that it is caught in. */
  expectedErrors = [
    'ER_LOCK_DEADLOCK',
    'ER_SP_DOES_NOT_EXIST',
    'ER_CHECKREAD',
    'ER_DUP_ENTRY',
    'ER_LOCK_WAIT_TIMEOUT',
  ]
  #url
  #client

  constructor(url) {
    this.#url = new URL(url)
  }

  get place() {
    return this.#url.href
  }

  async create() {
    this.#client = await mysql.createConnection(this.#url.href)
    await this.query(`DROP DATABASE IF EXISTS ${schema}`)
    await this.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
    await this.query(`USE ${schema}`)
  }

  async drop() {
    await this.query(`DROP DATABASE IF EXISTS ${schema}`)
    await this.#client.end()
  }

  async query(sql) {
    return (await this.#client.query(sql))[0]
  }

  quote(name) {
    return `\`${name}\``
  }

  options() {
    const url = new URL(this.#url)
    url.pathname = `/${schema}`
    return { type: 'mariadb', url: url.href, charset: 'utf8mb4' }
  }

  /** Opens all connections of a process. @returns the ids of its sessions. */
  async openSessions(dataSource, count) {
    const runners = Array.from({ length: count }, () => dataSource.createQueryRunner())
    const rows = await Promise.all(runners.map((runner) => runner.query('SELECT CONNECTION_ID() AS id')))
    await Promise.all(runners.map((runner) => runner.release()))
    return rows.map(([{ id }]) => Number(id))
  }

  async untilGone(_name, sessions) {
    const alive = `SELECT id FROM information_schema.processlist WHERE id IN (${[0, ...sessions].join(', ')})`
    while ((await this.query(alive)).length > 0) await sleep(1)
  }
}

/** A file that several processes have; each has one connection for all that it does. */
class Sqlite {
  name = 'sqlite'
  concurrency = 1
  roles = ['application', 'janitor']
  /** Another process writes, or has written since the transaction has read. */
  expectedErrors = ['SQLITE_BUSY', 'SQLITE_BUSY_SNAPSHOT', 'SQLITE_CONSTRAINT_PRIMARYKEY']
  #folder
  #client

  constructor(place) {
    this.#folder = place ?? mkdtempSync(join(tmpdir(), 's3file-crash-'))
  }

  get place() {
    return this.#folder
  }

  get #file() {
    return join(this.#folder, 'app.sqlite')
  }

  async create() {
    const Database = createRequire(import.meta.url)('better-sqlite3')
    this.#client = new Database(this.#file)
    this.#client.pragma('journal_mode = WAL')
  }

  async drop() {
    this.#client.close()
    rmSync(this.#folder, { recursive: true })
  }

  async query(sql) {
    const statement = this.#client.prepare(sql)
    return statement.reader ? statement.all() : statement.run()
  }

  quote(name) {
    return `"${name}"`
  }

  options() {
    return { type: 'better-sqlite3', database: this.#file, enableWAL: true }
  }

  async openSessions() {
    return []
  }

  async untilGone() {}
}

/** Makes all entries due. @returns how many there are. */
export async function makeDue(database) {
  const past = "'2000-01-01T00:00:00.000Z'"
  const [dueAt, since, claimedUntil] = ['dueAt', 'since', 'claimedUntil'].map((name) => database.quote(name))
  await database.query(
    `UPDATE file_journal SET ${dueAt} = ${past}, ${since} = ${past}, ` +
      `${claimedUntil} = CASE WHEN ${claimedUntil} IS NOT NULL THEN ${past} END`,
  )
  const [{ count }] = await database.query('SELECT COUNT(*) AS count FROM file_journal')
  return Number(count)
}

/** The database that another process has named. */
export function databaseAt({ name, place }) {
  return name === 'sqlite' ? new Sqlite(place) : databases[name](place)
}
