import { DataSource, type DataSourceOptions, Entity, PrimaryGeneratedColumn } from 'typeorm'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { loadSettings } from '../../example/src/settings.ts'
import type { Finding } from '../../src/core/finding.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { checkWiring } from '../../src/orm/check-wiring.ts'
import { S3FileField } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { dataSourceOptions } from '../support/servers.ts'

@Entity()
class Driven {
  @PrimaryGeneratedColumn() id!: number
  @S3FileField({ nullable: true }) file!: S3File | null
}

@Entity()
class Plain {
  @PrimaryGeneratedColumn() id!: number
}

const url = inject('servers').databaseUrl
const isMariadb = url.startsWith('mysql:')

const newDataSource = (options: object) =>
  new DataSource({ ...dataSourceOptions(url), entities: [Driven], ...options } as DataSourceOptions)

async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = []
  const listen = (warning: Error & { code?: string }) => warnings.push(String(warning.code))
  process.on('warning', listen)
  await work()
  await new Promise(setImmediate)
  process.off('warning', listen)
  return warnings.filter((code) => code === 'S3FILE_MARIADB')
}

// The driver of CockroachDB speaks PostgreSQL's protocol, so it connects; the others need servers of their own.
describe.skipIf(isMariadb)('a DataSource of a database that file fields do not support', () => {
  const cockroach = (options: object) =>
    newDataSource({ type: 'cockroachdb', synchronize: true, ...options }).initialize()
  const refused = {
    code: 'unknown-layout',
    message:
      "file fields do not support databases of type 'cockroachdb'; supported: postgres, aurora-postgres, mysql, mariadb, aurora-mysql, sqljs, better-sqlite3",
  }

  it('is refused by initialize() with the list of supported ones when it has a file field', async () => {
    await expect(cockroach({})).rejects.toMatchObject(refused)
  })

  it('is refused by initialize() with that list when TypeORM itself does not know the type of the column', async () => {
    const oddEntity = class OddlyTyped {}
    Entity()(oddEntity)
    PrimaryGeneratedColumn()(oddEntity.prototype, 'id')
    S3FileField({ column: { type: 'simple-json' } })(oddEntity.prototype as object, 'file')
    S3FileField({ column: { type: 'longtext' } })(oddEntity.prototype as object, 'other')
    await expect(cockroach({ entities: [oddEntity] })).rejects.toMatchObject(refused)
  })

  it('is refused by initialize() when it has only the subscriber', async () => {
    await expect(cockroach({ entities: [Plain], subscribers: [S3FileSubscriber] })).rejects.toMatchObject(
      refused,
    )
  })

  it('is left alone when it has nothing of this package', async () => {
    // PostgreSQL does not know a setting of CockroachDB's: by then the DataSource has been looked at.
    await expect(cockroach({ entities: [Plain] })).rejects.toThrow(
      'enable_experimental_alter_column_type_general',
    )
  })
})

describe('the demo', () => {
  afterEach(() => vi.unstubAllEnvs())

  it.each(['mysql', 'mariadb', 'postgres'])('takes a %s:// URL for a database of that type', async (type) => {
    vi.stubEnv('S3_ENDPOINT', 'http://127.0.0.1:1')
    vi.stubEnv('DATABASE_URL', `${type}://demo@127.0.0.1/demo`)
    expect((await loadSettings()).database.type).toBe(type)
  })
})

describe.skipIf(!isMariadb)("a DataSource of type 'mysql' on MariaDB", () => {
  async function withFile(work: () => Promise<unknown>): Promise<void> {
    configureStorages({ default: new MemoryStorage() })
    const right = await newDataSource({ synchronize: true, dropSchema: true }).initialize()
    try {
      await right.manager.save(Object.assign(new Driven(), { file: new S3File({ key: 'kept' }) }))
      await work()
      expect(await right.manager.find(Driven)).toMatchObject([{ file: { key: 'kept' } }])
    } finally {
      await right.destroy()
    }
  }

  it('is refused by initialize() with synchronize, which would drop the file column, and no file is lost', async () => {
    await withFile(async () => {
      const wrong = newDataSource({ type: 'mysql', synchronize: true })
      await expect(wrong.initialize()).rejects.toMatchObject({
        code: 'invalid-option',
        message: expect.stringContaining("Set type: 'mariadb'"),
      })
      expect(wrong.isInitialized).toBe(false)
    })
  })

  it('warns at initialize() without synchronize, and synchronize() is refused', async () => {
    await withFile(async () => {
      const wrong = newDataSource({ type: 'mysql' })
      expect(await warningsOf(() => wrong.initialize())).toEqual(['S3FILE_MARIADB'])
      await expect(wrong.synchronize()).rejects.toMatchObject({ code: 'invalid-option' })
      await wrong.destroy()
    })
  })

  it('is a problem that doctor names, with the type that puts it right', async () => {
    await withFile(async () => {
      const wrong = await newDataSource({ type: 'mysql' }).initialize()
      const found: Finding[] = []
      for await (const finding of checkWiring(wrong, new AbortController().signal)) found.push(finding)
      expect(found.find(({ check }) => check === 'dialect')).toMatchObject({
        status: 'problem',
        fix: "new DataSource({ …, type: 'mariadb' })",
      })
      await wrong.destroy()
    })
  })

  it("is left alone when its type is 'mariadb'", async () => {
    await withFile(async () => {
      const right = newDataSource({ synchronize: true })
      expect(await warningsOf(() => right.initialize())).toEqual([])
      await right.destroy()
    })
  })
})
